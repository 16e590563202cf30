"""The checks as functions: each keeps what it showed, one that raises hides no other, and the worst answer counts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from suffice.answer import Answer, nothing
from suffice.config import shipped
from suffice.errors import DataError, ExitCode, MissingDataError
from suffice.runbook.adversarial import run_adversarial
from suffice.runbook.checks import CHECKS, Check, Cycle, run_checks
from suffice.runbook.configured import read
from suffice.terminal import print_lines

NAMES = [
    "pytest_adversarial", "run_eval", "metrics_summary", "escalation_gate", "compare", "sweep_a", "sweep_b",
    "verify_sweep",
]  # fmt: skip


@pytest.fixture
def cycle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cycle:
    monkeypatch.chdir(tmp_path)
    return Cycle(read(None), tmp_path / "runbook", tmp_path, budget=12)


def answered(code: ExitCode, problem: str = "") -> Check:
    return lambda _: Answer({}, lambda: print_lines("shown"), code, problem)


def raising(error: Exception) -> Check:
    def check(_: Cycle) -> Answer:
        raise error

    return check


def code_of(cycle: Cycle, **asked: Check) -> ExitCode:
    return run_checks(cycle, checks=asked).exit


def test_the_runbooks_checks_have_these_names_in_this_order() -> None:
    assert list(CHECKS) == NAMES


def test_what_a_check_shows_is_kept_with_its_problem(cycle: Cycle) -> None:
    seen: list[tuple[str, ExitCode]] = []
    asked = {"compare": answered(ExitCode.FAILS, "too many differ")}
    answer = run_checks(cycle, lambda name, code: seen.append((name, code)), asked)
    assert (cycle.folder / "compare.out").read_text(encoding="utf-8") == "shown\nsuffice: too many differ\n"
    assert seen == [("compare", ExitCode.FAILS)]
    kept = json.loads((cycle.folder / "runbook.json").read_text(encoding="utf-8"))
    assert kept == {"code": 2, "out_dir": cycle.folder.as_posix(), "checks": {"compare": 2}} == answer.plain


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (MissingDataError("nothing was counted"), ExitCode.CANNOT_TELL, "suffice: nothing was counted\n"),
        (DataError("damaged"), ExitCode.FAILS, "suffice: damaged\n"),
        (ZeroDivisionError("by zero"), ExitCode.FAILS, "ZeroDivisionError: by zero\n"),
        (OSError(28, "No space left"), ExitCode.CANNOT_TELL, "suffice: OSError: [Errno 28] No space left\n"),
        (MemoryError("too much"), ExitCode.CANNOT_TELL, "suffice: MemoryError: too much\n"),
    ],
)
def test_a_check_that_raises_answers_with_its_reason_and_hides_no_other(
    cycle: Cycle, error: Exception, code: ExitCode, line: str
) -> None:
    assert code_of(cycle, first=raising(error), second=answered(ExitCode.HOLDS)) is code
    assert (cycle.folder / "first.out").read_text(encoding="utf-8").endswith(line)
    assert (cycle.folder / "second.out").read_text(encoding="utf-8") == "shown\n"


@pytest.mark.parametrize(
    ("codes", "worst"),
    [((0, 0), 0), ((0, 3), 3), ((3, 2), 2), ((2, 0), 2)],
)
def test_a_failure_counts_more_than_what_cannot_be_told(cycle: Cycle, codes: tuple[int, ...], worst: int) -> None:
    asked = {f"check_{i}": answered(ExitCode(code)) for i, code in enumerate(codes)}
    assert code_of(cycle, **asked) == worst


def test_answers_of_an_earlier_cycle_are_gone_while_the_checks_are_asked(cycle: Cycle) -> None:
    assert code_of(cycle, only=answered(ExitCode.HOLDS)) is ExitCode.HOLDS

    def only(_: Cycle) -> Answer:
        return Answer({}, nothing, ExitCode.FAILS if (cycle.folder / "runbook.json").exists() else ExitCode.HOLDS)

    assert code_of(cycle, only=only) is ExitCode.HOLDS


def test_the_adversarial_check_names_the_cells_that_fail(tmp_path: Path) -> None:
    config = shipped().model_dump(mode="json")
    config["verifier"]["adaptive_sampling"]["method"] = "margin"
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    answer = run_adversarial(read(path))
    assert answer.exit is ExitCode.FAILS
    assert any(name.startswith("boundary_effect_") for name in answer.plain["failed"])
    assert 0 < answer.plain["passed"] == answer.plain["cells"] - len(answer.plain["failed"])
    words = [sys.executable, "-m", "pytest", "--pyargs", "suffice.runbook.adversarial", "-q", "-p", "no:cacheprovider"]
    # The other cells, which hold, would take most of the time.
    words += ["-k", "boundary_effect or zero_variance"]
    environment = {**os.environ, "SUFFICE_CONFIG": str(path)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    assert {line.split("[")[1].split("]")[0] for line in done.stdout.splitlines() if line.startswith("FAILED")} == {
        name for name in answer.plain["failed"] if name.startswith(("boundary_effect", "zero_variance"))
    }


def test_the_checks_need_no_pytest() -> None:
    code = "import suffice.runbook.checks, sys; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
