"""`suffice compare` as a user meets it."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from suffice.cli.main import run
from suffice.comparison.intervals import clopper_pearson

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert run(("compare", *arguments, "--json")) == 0
    return json.loads(capsys.readouterr().out)


def test_pdg_saves_two_thirds_and_keeps_the_decisions(capsys: pytest.CaptureFixture[str]) -> None:
    answered = answer(capsys, "--source", "pdg")
    assert answered["cases"] >= 12_000
    assert (answered["rule"], answered["method"], answered["max_disagreement"], answered["invalid"]) == (
        "proportion",
        "optimal",
        0.01,
        0,
    )
    assert answered["sample_reduction"] >= 0.64
    assert answered["sample_reduction"] == pytest.approx(1 - answered["avg_adaptive_n"] / answered["avg_fixed_n"])
    assert answered["disagreement_rate"] <= 0.005
    assert answered["worst_disagreement"] <= 0.01
    assert answered["disagreement_rate"] == answered["disagreements"] / answered["cases"]
    assert (answered["disagreement_lower"], answered["disagreement_upper"]) == clopper_pearson(
        answered["disagreements"], answered["cases"]
    )
    assert len(answered["disagreeing_cases"]) == min(answered["disagreements"], 20)
    assert sum(band["cases"] for band in answered["bands"]) == answered["cases"]


def test_the_heuristic_fails_where_truths_are_even(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(("compare", "--source", "even", "--rule", "paired_mean", "--method", "margin", "--json")) == 2
    printed = capsys.readouterr()
    answered = json.loads(printed.out)
    assert answered["disagreement_rate"] >= 0.15
    assert answered["guarantee"] == "none"
    assert "margin disagrees in" in printed.err


def test_the_optimal_plan_holds_where_truths_are_even(capsys: pytest.CaptureFixture[str]) -> None:
    answered = answer(capsys, "--source", "even", "--use-config", "--deterministic")
    assert answered["cases"] >= 1000
    assert answered["disagreement_rate"] <= 0.01


@pytest.mark.parametrize("claim", [("--at-least", "0.5"), ("--at-most", "0.5")])
def test_a_claim_about_a_mean_may_be_a_least_or_a_most(
    capsys: pytest.CaptureFixture[str], claim: tuple[str, str]
) -> None:
    compared = answer(capsys, "--rule", "mean", *claim, "--n", "32")
    assert compared["parameters"] == {claim[0].removeprefix("--").replace("-", "_"): 0.5, "alpha": 0.05}
    assert compared["disagreement_rate"] <= 0.01


def test_several_methods_give_a_list_and_the_first_is_judged(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(("compare", "--source", "even", "--method", "optimal,margin,fixed", "--json")) == 0
    several = json.loads(capsys.readouterr().out)
    assert [compared["method"] for compared in several] == ["optimal", "margin", "fixed"]
    assert several[1]["disagreement_rate"] > 0.01
    assert (several[2]["disagreements"], several[2]["sample_reduction"]) == (0, 0)
    assert run(("compare", "--source", "even", "--method", "margin,optimal")) == 2


def test_a_row_for_each_case_is_readable_with_the_method_that_is_fixed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "rows.parquet"
    optimal, fixed = answer(capsys, "--source", "even", "--method", "optimal,fixed", "--out", str(out))
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == optimal["cases"] == fixed["cases"]
    for row in rows:
        assert (row["fixed_n"], row["fixed_estimate"]) == (row["baseline_n"], row["baseline_estimate"])
        assert (row["fixed_decision"], row["fixed_agrees"]) == (row["baseline"], True)
    assert sum(row["optimal_n"] for row in rows) == pytest.approx(optimal["avg_adaptive_n"] * optimal["cases"])


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def own(tmp_path: Path, value: str = "12.0") -> tuple[str, ...]:
    records = write(tmp_path / "records.csv", "key,value,u\na,10.0,1\nb,5,0.5\n")
    measurements = write(tmp_path / "new.csv", f"key,value,u_plus,u_minus\na,{value},1,2\nb,5.1,0.5,0.5\n")
    return ("--records", str(records), "--measurements", str(measurements))


def test_own_files_are_compared_and_the_csv_has_a_row_for_each_case_and_method(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "out" / "rows.csv"
    assert run(("compare", *own(tmp_path), "--method", "optimal,margin", "--csv", str(out), "--json")) == 0
    several = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert [(row["key"], row["method"]) for row in rows] == [
        ("a", "optimal"), ("a", "margin"), ("b", "optimal"), ("b", "margin"),
    ]  # fmt: skip
    for i, compared in enumerate(several):
        mine = [row for row in rows if row["method"] == compared["method"]]
        assert sum(int(row["n"]) for row in mine) == compared["avg_adaptive_n"] * compared["cases"]
        assert sum(row["agrees"] == "false" for row in mine) == compared["disagreements"], i


def test_two_cases_do_not_satisfy_the_regression_gate(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(("compare", *own(tmp_path), "--use-config")) == 3
    assert "needed to judge: 1000" in capsys.readouterr().err


def test_a_gate_that_is_switched_off_judges_nothing_and_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The heuristic disagrees in far more than the 1 % allowed."""
    gate = {"enabled": False}
    config = write(tmp_path / "config.json", json.dumps({"verifier": {"adaptive_sampling": {"regression_gate": gate}}}))
    asked = ("compare", "--source", "even", "--method", "margin", "--config", str(config))
    assert run(asked) == 0
    assert "Not judged: regression_gate.enabled is false" in capsys.readouterr().out
    config.write_text("{}", encoding="utf-8")
    assert run(asked) == 2
    assert "Not judged" not in capsys.readouterr().out


def test_the_report_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    assert run(("compare", *own(tmp_path), "--report", str(report))) == 0
    assert "<html" in report.read_text(encoding="utf-8")
    assert str(report) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "culprit", "code"),
    [
        (("--source", "moon"), "moon", 2),
        (("--method", "guess"), "guess", 2),
        (("--method", "optimal,optimal"), "optimal,optimal", 2),
        (("--rule", "coin"), "coin", 2),
        (("--records", "nowhere.csv"), "--measurements", 2),
        (("--records", "nowhere.csv", "--measurements", "nowhere.csv"), "nowhere.csv", 3),
        (("--source", "pdg", "--records", "a.csv", "--measurements", "b.csv"), "--source pdg", 2),
        (("--config", "nowhere.json"), "nowhere.json", 2),
        (("--at-least", "0"), "no boundary", 2),
    ],
)
def test_bad_input_gets_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], culprit: str, code: int
) -> None:
    assert run(("compare", *arguments)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert culprit in printed.err


@pytest.mark.parametrize("option", ["--csv", "--report"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str
) -> None:
    assert run(("compare", "--source", "even", option, str(tmp_path))) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert str(tmp_path) in printed.err
    assert list(tmp_path.parent.glob(".*.tmp")) == []


def test_nothing_is_left_of_a_bad_measurement(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    assert run(("compare", *own(tmp_path, value="nan"), "--csv", str(out))) == 2
    assert "new.csv, line 2, column value" in capsys.readouterr().err
    assert not out.exists()


def test_equal_seeds_give_byte_equal_json_in_every_process(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["compare", "--source", "codata", "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-m", "suffice.cli.main", *asked]
    other = subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout
    for _ in range(2):
        assert run(asked) == 0
        assert capsys.readouterr().out == other


def test_another_seed_gives_other_draws(capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (answer(capsys, "--source", "codata", "--seed", seed) for seed in ("1", "2"))
    assert one["avg_adaptive_n"] != other["avg_adaptive_n"]
