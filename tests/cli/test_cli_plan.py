"""`suffice plan` as a user meets it."""

import json
from fractions import Fraction
from math import comb
from pathlib import Path

import pytest

from suffice.cli.main import run

N100 = ("plan", "--rule", "proportion", "--at-least", "0.8", "--n", "100", "--look-every", "1", "--json")


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert run(arguments) == 0
    return json.loads(capsys.readouterr().out)


def recomputed(plan: dict) -> tuple[Fraction, Fraction]:
    """Worst disagreement and ASN (uniform mix) from the boundaries alone, in rational arithmetic, path by path."""
    n, threshold = plan["n"], 80
    open_paths, stops = {0: 1}, []
    last = 0
    for boundary in plan["boundaries"]:
        for _ in range(boundary["n"] - last):
            grown: dict[int, int] = {}
            for k, paths in open_paths.items():
                grown[k] = grown.get(k, 0) + paths
                grown[k + 1] = grown.get(k + 1, 0) + paths
            open_paths = grown
        last = boundary["n"]
        for k in list(open_paths):
            accepts = boundary["accept_at"] is not None and k >= boundary["accept_at"]
            rejects = boundary["reject_at"] is not None and k <= boundary["reject_at"]
            if accepts or rejects:
                stops.append((last, k, open_paths.pop(k), accepts))
    worst = max(
        sum(
            (
                Fraction(p * comb(n - m, total - k), comb(n, total))
                for m, k, p, a in stops
                if a != (total >= threshold) and 0 <= total - k <= n - m
            ),
            start=Fraction(0),
        )
        for total in range(n + 1)
    )
    saved = sum(Fraction((n - m) * p, comb(m, k) * (m + 1)) for m, k, p, _ in stops)
    return worst, n - saved


def test_the_plan_of_the_issue_has_its_keys_and_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    plan = answer(capsys, *N100, "--max-disagreement", "0.01")
    for key in (
        "rule",
        "n",
        "method",
        "guarantee",
        "looks",
        "boundaries",
        "asn",
        "worst_disagreement",
        "worst_at",
        "id",
    ):
        assert key in plan
    assert (plan["rule"], plan["n"], plan["method"], plan["guarantee"]) == ("proportion", 100, "optimal", "exact")
    assert plan["looks"] == list(range(1, 100))
    assert plan["asn"] <= 29.07
    assert plan["worst_disagreement"] <= 0.01


def test_the_boundaries_alone_give_both_figures_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    plan = answer(capsys, *N100, "--max-disagreement", "0.01")
    worst, asn = recomputed(plan)
    assert worst <= Fraction(1, 100)
    assert float(worst) == pytest.approx(plan["worst_disagreement"], rel=1e-10)
    assert float(asn) == pytest.approx(plan["asn"], rel=1e-12)


def test_a_boundary_moved_by_one_count_is_not_the_same_plan(capsys: pytest.CaptureFixture[str]) -> None:
    plan = answer(capsys, *N100, "--max-disagreement", "0.01")
    boundary = next(b for b in plan["boundaries"] if b["reject_at"] is not None and b["n"] > 10)
    boundary["reject_at"] += 1
    worst, asn = recomputed(plan)
    assert float(worst) > plan["worst_disagreement"]
    assert float(asn) < plan["asn"]


def test_nothing_saved_is_free_at_zero_disagreement(capsys: pytest.CaptureFixture[str]) -> None:
    plan = answer(capsys, *N100, "--max-disagreement", "0")
    assert plan["worst_disagreement"] == 0
    assert plan["asn"] == pytest.approx(51.13, abs=0.005)


def test_the_table_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(("plan", "--n", "50", "--look-every", "5")) == 0
    shown = capsys.readouterr().out
    assert "worst disagreement" in shown
    assert "the optimum for these looks is at least" in shown


def test_a_saved_plan_is_what_was_printed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "new" / "plan.json"
    printed = answer(capsys, "plan", "--n", "40", "--json", "--save", str(path))
    assert json.loads(path.read_text(encoding="utf-8")) == printed


@pytest.mark.parametrize("asked", [("--config", "mine.json"), ("--use-config", "--config", "mine.json")])
def test_a_configuration_that_is_named_is_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    sampling = {"method": "curtailed-exact", "look_every": 7, "n_min": 7, "n_max": 50}
    verifier = {"rule": "proportion", "n_samples": 50, "confidence_threshold": 0.9, "adaptive_sampling": sampling}
    Path("mine.json").write_text(json.dumps({"verifier": verifier}), encoding="utf-8")
    plan = answer(capsys, "plan", *asked, "--json")
    assert (plan["n"], plan["method"], plan["looks"][:2]) == (50, "curtailed-exact", [7, 14])
    # What stands on the command line is above the configuration.
    assert answer(capsys, "plan", *asked, "--n", "40", "--json")["n"] == 40


def test_no_configuration_is_read_unless_it_is_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.json").write_text("damaged", encoding="utf-8")
    assert answer(capsys, "plan", "--json")["n"] == 256


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("--n", "0"), "n is 0"),
        (("--at-least", "1.2"), "at_least is 1.2"),
        (("--max-disagreement", "-0.1"), "-0.1"),
        (("--max-disagreement", "lots"), "lots"),
        (("--max-disagreement", "accept=0.1"), "accept and reject"),
        (("--rule", "coin"), "coin"),
        (("--method", "guess"), "guess"),
        (("--n", "10", "--look-every", "11"), "11"),
        (("--looks", "5,x"), "5,x"),
        (("--n", "10", "--looks", "5,10"), "below n = 10"),
        (("--n", "ten"), "--n"),
        (("--colour", "red"), "--colour"),
        (("--use-config", "--config", "nowhere.json"), "nowhere.json"),
        (("--config", "nowhere.json"), "nowhere.json"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], culprit: str
) -> None:
    assert run(("plan", *arguments)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert culprit in printed.err
