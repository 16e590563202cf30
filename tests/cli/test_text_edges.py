"""Texts at the edges: what comes from anywhere is shown as text, and is never a path, a formula or a command."""

import csv
from pathlib import Path

import pytest

from suffice.cli.main import run
from suffice.comparison.rows import rows_to
from suffice.decision.proportion import Proportion
from suffice.errors import DataError, PlanError
from suffice.rollout.world import Place
from suffice.serving.verifier import Verifier
from suffice.stopping.looks import checked_looks, even_looks
from suffice.stopping.make import plan
from suffice.terminal import print_lines, print_table, visible
from suffice.verifier.case import Case
from suffice.verifier.loop import decide_fixed
from suffice.verifier.many import CaseResult

NASTY = "a\x1b[31mred\x07\x00\u202e\x9bz"


@pytest.mark.parametrize("kept", ["plain", "Zürich µ 12 %", "two\nlines\tand a tab", "1\u00a0000", "日本"])
def test_what_a_terminal_shows_stays_as_it_is(kept: str) -> None:
    assert visible(kept) == kept


def test_control_characters_are_escaped_in_lines_tables_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines(NASTY)
    print_table("t", ["key"], [[NASTY]])
    assert run(["rollout", "status", "--service", NASTY]) == 2
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert not set(text) & set("\x1b\x07\x00\u202e\x9b")
        assert "red" in text
    assert r"a\x1b[31mred\x07\x00\u202e\x9bz" in printed.out


@pytest.mark.parametrize("name", ["", "../other", "a/b", "a b", ".hidden", "-x", "a" * 65, "pümp", "a\n"])
def test_a_service_is_a_name_and_never_a_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the service is .*; allowed: a name of at most 64"):
        Place(service=name)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="the service is"):
        Verifier.from_config(tmp_path / "config.json", queue=tmp_path / "queue", service=name)
    assert not (tmp_path / "queue").exists()
    assert Place(service="pump-17.v2_b").service == "pump-17.v2_b"


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "plain", "1-1"])
def test_a_text_that_looks_like_a_formula_is_marked_and_a_number_is_not(tmp_path: Path, text: str, raw: bool) -> None:
    verdict = decide_fixed([0.0] * 8, Proportion(0.5))
    result = CaseResult(Case(text, text, lambda rng, n: rng.random(n), text), -1.5, verdict, (verdict,))
    with rows_to(tmp_path / "rows.csv", None, ["margin"], raw=raw) as write:
        assert write is not None
        write([result])
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    expected = text if raw or text in ("plain", "1-1") else f"'{text}"
    assert [row[name] for name in ("key", "target", "region")] == [expected] * 3
    assert row["effect"] == "-1.5"


def test_too_many_draws_or_looks_are_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PlanError, match="n is 10,000,001; allowed: up to 10,000,000 draws"):
        plan(Proportion(0.8), 10_000_001)
    with pytest.raises(PlanError, match="more than 100,000 looks"):
        even_looks(10_000_000, 1)
    with pytest.raises(PlanError, match="more than 100,000 looks"):
        checked_looks(10_000_000, iter(range(1, 10_000_000)))
    assert len(even_looks(100_001, 1)) == 100_000
    assert run(["plan", "--rule", "proportion", "--at-least", "0.8", "--n", "100000000"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
