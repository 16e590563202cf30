"""Commands as gates: asked at their pace, answered by their exit code, their output kept."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from production import BEGAN, again, commands, content, producing, workers

import suffice
from store_places import ROW
from suffice.errors import RolloutError
from suffice.evidence.recompute import recompute
from suffice.gates.outcome import Outcome
from suffice.rollout import check_worker
from suffice.rollout.check_worker import KEPT, run
from suffice.rollout.command_checks import check_of, judge_checks
from suffice.rollout.operator import Start
from suffice.rollout.phases import Phase
from suffice.sources.correction import Correction, Estimate
from suffice.sources.recipe import of_correction
from suffice.triage.manifest import check

PYTHON = sys.executable


def exits(code: int, says: str = "said") -> str:
    return f"eval={PYTHON} -c \"print('{says}'); raise SystemExit({code})\""


def asked(folder: Path, text: str, now: float = BEGAN) -> tuple[Outcome, str]:
    """What one cycle is told."""
    check = check_of(text, 100.0)
    (result,) = judge_checks([check], folder, now)
    return result.outcome, result.sentence


def judged(folder: Path, text: str, now: float = BEGAN) -> tuple[Outcome, str]:
    """What a cycle is told once the check that is due has answered."""
    asked(folder, text, now)
    wait_for_answer(folder)
    return asked(folder, text, now)


def wait_for_answer(folder: Path, name: str = "eval") -> None:
    """Until the check that was started last has written its answer."""
    for _ in range(2400):
        try:
            begun = float((folder / f"{name}.begun").read_text(encoding="utf-8"))
            if json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["at"] == begun:
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.05)
    raise AssertionError("the check has not answered")


def test_a_check_of_ten_minutes_delays_no_cycle_and_is_not_asked_twice(tmp_path: Path) -> None:
    """Seen: a check of 600 s delayed a rollback by 600 s."""
    started = tmp_path / "started"
    code = f"import pathlib, time; open({str(started)!r}, 'a').write('x'); time.sleep(600)"
    begin = Start(waived=("determinism",), checks=(check_of(f'eval={PYTHON} -c "{code}"', 1e6),))
    with producing(tmp_path, content(), begin) as production:
        production.traffic()
        assert production.cycle().phase is Phase.PROGRESSING
        assert production.judged("eval")["outcome"] == "Inconclusive"
        production.disagreements(60, "staging")
        assert production.cycle().phase is Phase.ROLLED_BACK
        os.kill(one_worker(tmp_path), signal.SIGKILL)
    ended(lambda: sleepers(code))


def test_the_wrapper_keeps_the_deadline_and_ends_what_the_command_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code, output = run(f"sh -c 'sleep 600 & echo $! > {pid}; wait'", 1.0)
    assert (code, output.endswith("did not end within 1 s")) == (None, True)
    ended(lambda: [int(pid.read_text())] if Path(f"/proc/{int(pid.read_text())}").exists() else [])


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_and_all_that_it_started_end_with_their_wrapper(tmp_path: Path, end: signal.Signals) -> None:
    """Seen: a wrapper that was ended left the check running for its ten minutes."""
    code = f"import time; time.sleep(600)  # {tmp_path}"
    check = check_of(f"eval=sh -c '{PYTHON} -c \"{code}\" & wait'", 100.0)
    judge_checks([check], tmp_path, BEGAN)
    for _ in range(2400):
        # The shell, and what it started; what the wrapper starts has its words for a moment.
        if len(sleepers(code)) == 2 and len(workers(tmp_path)) == 1:
            break
        time.sleep(0.05)
    worker = one_worker(tmp_path)
    os.kill(worker, end)
    ended(lambda: sleepers(code))


def test_what_a_command_leaves_in_its_group_ends_with_the_check(tmp_path: Path) -> None:
    code = f"import time; time.sleep(600)  # {tmp_path}"
    assert run(f"sh -c '{PYTHON} -c \"{code}\" > /dev/null 2>&1 & echo begun'", 60.0) == (0, "begun\n")
    ended(lambda: sleepers(code))


def ended(running: Callable[[], list[int]]) -> None:
    """Wait until none of these processes runs any more."""
    for _ in range(600):
        if not running():
            return
        time.sleep(0.05)
    for pid in running():
        os.kill(pid, signal.SIGKILL)
    raise AssertionError("what the command had started goes on")


def test_a_check_whose_wrapper_was_killed_is_an_error_in_the_next_cycle_and_asked_again(tmp_path: Path) -> None:
    """Seen: it was told as one that still runs until its deadline had passed."""
    assert asked(tmp_path, sleeping(tmp_path))[0] is Outcome.INCONCLUSIVE
    worker = one_worker(tmp_path)
    assert asked(tmp_path, exits(0), BEGAN + 1)[0] is Outcome.INCONCLUSIVE
    os.kill(worker, signal.SIGKILL)
    ended(lambda: workers(tmp_path))
    outcome, sentence = asked(tmp_path, exits(0), BEGAN + 2)
    assert outcome is Outcome.ERROR
    assert "was ended before it answered" in sentence
    wait_for_answer(tmp_path)
    assert asked(tmp_path, exits(0), BEGAN + 3)[0] is Outcome.SUCCESSFUL


def test_a_pass_that_asks_nothing_tells_of_a_killed_wrapper_too(tmp_path: Path) -> None:
    check = check_of(sleeping(tmp_path), 100.0)
    judge_checks([check], tmp_path, BEGAN)
    worker = one_worker(tmp_path)
    os.kill(worker, signal.SIGKILL)
    ended(lambda: workers(tmp_path))
    (result,) = judge_checks([check], tmp_path, BEGAN, ask=False)
    assert "was ended before it answered" in result.sentence
    assert not workers(tmp_path)


def test_a_wrapper_that_is_stopped_still_runs_until_its_time_is_over(tmp_path: Path) -> None:
    asked(tmp_path, sleeping(tmp_path))
    worker = one_worker(tmp_path)
    os.kill(worker, signal.SIGSTOP)
    try:
        assert asked(tmp_path, exits(0), BEGAN + 3_600)[0] is Outcome.INCONCLUSIVE
        outcome, sentence = asked(tmp_path, exits(0), BEGAN + 10_000)
        assert outcome is Outcome.ERROR
        assert "gave no answer within 3,600 s" in sentence
        wait_for_answer(tmp_path)
        assert asked(tmp_path, exits(0), BEGAN + 10_000)[0] is Outcome.SUCCESSFUL
    finally:
        os.kill(worker, signal.SIGKILL)


def test_where_the_system_keeps_no_locks_a_check_runs_until_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert judged(tmp_path, exits(0))[0] is Outcome.SUCCESSFUL
    (tmp_path / "eval.begun").write_text(repr(BEGAN + 200))
    assert asked(tmp_path, exits(2), BEGAN + 300)[0] is Outcome.SUCCESSFUL
    assert asked(tmp_path, exits(2), BEGAN + 10_000)[0] is Outcome.ERROR


def one_worker(folder: Path) -> int:
    """The wrapper of the only check; one that has just been started has the words of who starts it for a moment."""
    for _ in range(600):
        found = workers(folder)
        if len(found) == 1:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"{len(found)} wrappers run")


def sleeping(folder: Path) -> str:
    """A check that takes its time."""
    return f'eval={PYTHON} -c "import time; time.sleep(600)  # {folder}"'


def sleepers(code: str) -> list[int]:
    """The processes that run this code themselves."""
    return [pid for pid, line in commands() if code in line and "check_worker" not in line]


@pytest.mark.parametrize(
    ("code", "outcome"), [(0, Outcome.SUCCESSFUL), (3, Outcome.ERROR), (2, Outcome.FAILED), (1, Outcome.FAILED)]
)
def test_the_exit_code_is_the_answer_and_the_last_line_says_why(tmp_path: Path, code: int, outcome: Outcome) -> None:
    seen, sentence = judged(tmp_path, exits(code, "because"))
    assert seen is outcome
    assert f"ended with {code} (limit 0): because" in sentence
    assert json.loads((tmp_path / "eval.json").read_text(encoding="utf-8"))["output"] == "because\n"
    assert (tmp_path / "eval.out").read_text(encoding="utf-8") == "because\n"


def test_a_command_that_says_much_takes_no_memory_for_it(tmp_path: Path) -> None:
    said = f"eval={PYTHON} -c \"print('x' * 3_000_000); print('the end')\""
    assert judged(tmp_path, said)[0] is Outcome.SUCCESSFUL
    kept = (tmp_path / "eval.out").read_text(encoding="utf-8")
    assert len(kept) == KEPT and kept.endswith("x\nthe end\n")
    reading, writing = os.pipe()
    tail = bytearray()
    with os.fdopen(reading, "rb") as output:
        reader = Thread(target=check_worker._keep_tail, args=(output, tail))
        reader.start()
        most = 0
        for _ in range(100):
            os.write(writing, b"y" * 65_536)
            most = max(most, len(tail))
        os.close(writing)
        reader.join()
    assert most <= 4 * KEPT + 65_536 and len(tail) == 4 * KEPT


def test_files_of_the_folder_are_no_modules_of_a_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: a `secrets.py` of the repository ended each check at once."""
    for name in ("secrets", "queue", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "checks"
    assert judged(folder, "eval=true")[0] is Outcome.SUCCESSFUL
    case = Correction("k", "t", Estimate(1.0, 0.1, 0.1), Estimate(2.0, 0.1, 0.1))
    plan = suffice.plan(suffice.Proportion(0.5), 10, 0.1)
    assert recompute([(replace(ROW, key="k", target="t", plan_id=plan.id), of_correction(case))], plan).decisions == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("by", ["itself", "its shell"])
def test_a_signal_is_no_measurement(tmp_path: Path, number: signal.Signals, by: str) -> None:
    itself, shell = tmp_path / "itself.sh", tmp_path / "shell.sh"
    itself.write_text(f"kill -{number.value} $$\n", encoding="utf-8")
    shell.write_text(f"sh {itself}; exit $?\n", encoding="utf-8")
    seen, sentence = judged(tmp_path, f"eval=sh {itself if by == 'itself' else shell}")
    assert seen is Outcome.ERROR
    assert f"gave no answer: a signal ended it ({number.name})" in sentence


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5])
def test_of_pytests_exit_codes_only_one_says_that_tests_failed(tmp_path: Path, code: int) -> None:
    """An interrupted run, an internal error, a wrong use and no tests at all measure nothing."""
    bodies = {1: "assert False", 2: "raise KeyboardInterrupt", 3: "pass", 4: "pass", 5: "pass"}
    (tmp_path / "test_it.py").write_text(f"def test_it():\n    {bodies[code]}\n", encoding="utf-8")
    (tmp_path / "broken.py").write_text("def pytest_runtest_protocol(item):\n    raise OSError\n", encoding="utf-8")
    words = {3: "-p broken", 4: "--no-such-option", 5: "-k nothing"}.get(code, "")
    command = f"{PYTHON} -m pytest -c /dev/null --rootdir {tmp_path} -p no:cacheprovider {words} {tmp_path}/test_it.py"
    seen, sentence = judged(tmp_path, f"eval=env PYTHONPATH={tmp_path} {command}")
    assert seen is (Outcome.FAILED if code == 1 else Outcome.ERROR), sentence
    assert f"ended with {code}" in sentence or f"(pytest's {code})" in sentence or code == 3


def test_a_check_whose_answers_are_known_broke_with_any_other_code(tmp_path: Path) -> None:
    """A package that is being upgraded while the runbook's checks start says nothing about decisions."""
    crash = replace(check_of(f"eval={PYTHON} -c 'import no_such_package'", 100.0), answers=(0, 2, 3))
    judge_checks([crash], tmp_path, BEGAN)
    wait_for_answer(tmp_path)
    (result,) = judge_checks([crash], tmp_path, BEGAN)
    assert result.outcome is Outcome.ERROR
    assert "it broke with 1: ModuleNotFoundError: No module named 'no_such_package'" in result.sentence


def test_another_commands_exit_code_two_is_a_failure(tmp_path: Path) -> None:
    assert judged(tmp_path, exits(2, "pytester"))[0] is Outcome.FAILED


EVALUATED = "- agreement_even: PASS\n- agreement_pdg: FAIL\n  3 of 100 disagree\n24 of 25 cases pass\n"
TESTED = "collected 3 items\nFAILED tests/test_x.py::test_y - assert 1 == 2\n1 failed, 2 passed in 0.1s\n"
CRASHED = "Traceback (most recent call last):\n  File x\nValueError: no plan\n"


@pytest.mark.parametrize(
    ("printed", "line"),
    [
        (EVALUATED, "- agreement_pdg: FAIL"),
        (TESTED, "FAILED tests/test_x.py::test_y"),
        (CRASHED, "ValueError: no plan"),
        ("reading\nthe service does not answer\n", "the service does not answer"),
    ],
)
def test_a_failed_check_gives_its_first_failing_line(tmp_path: Path, printed: str, line: str) -> None:
    (tmp_path / "printed").write_text(printed, encoding="utf-8")
    _, sentence = judged(tmp_path, f"eval=sh -c 'cat {tmp_path}/printed; exit 2'")
    assert f"(limit 0): {line}" in sentence


def test_a_check_that_holds_gives_its_last_line_whatever_it_printed(tmp_path: Path) -> None:
    _, sentence = judged(tmp_path, "eval=sh -c 'echo FAILED before; echo all is well'")
    assert sentence.endswith("(limit 0): all is well")


def test_an_answer_is_used_until_it_is_old_or_from_the_future(tmp_path: Path) -> None:
    assert judged(tmp_path, exits(0))[0] is Outcome.SUCCESSFUL
    assert asked(tmp_path, exits(2), BEGAN + 99)[0] is Outcome.SUCCESSFUL
    assert judged(tmp_path, exits(2), BEGAN + 100)[0] is Outcome.FAILED
    assert judged(tmp_path, exits(0), BEGAN - 1)[0] is Outcome.SUCCESSFUL


def test_a_command_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    outcome, sentence = judged(tmp_path, "eval=/no/such/command")
    assert outcome is Outcome.ERROR
    assert "cannot be run: No such file" in sentence


def test_what_names_no_check_is_refused() -> None:
    for text in ("true", "=true", "a/b=true", "name="):
        with pytest.raises(RolloutError, match="allowed: NAME=COMMAND"):
            check_of(text, 1.0)


@pytest.mark.parametrize(("code", "phase"), [(0, Phase.PROGRESSING), (2, Phase.ROLLED_BACK)])
def test_a_check_is_a_gate_of_the_rollout(tmp_path: Path, code: int, phase: Phase) -> None:
    begin = Start(waived=("determinism",), checks=(check_of(exits(code), 1e6),))
    with producing(tmp_path, content(), begin) as production:
        assert production.cycle().phase is Phase.PROGRESSING
        wait_for_answer(production.place.queue / "checks" / production.operator.current.id)
        assert production.cycle().phase is phase
        assert production.judged("eval")["value"] == code if code == 0 else "ended with 2" in production.state.why
        if phase is Phase.ROLLED_BACK:
            bundle = production.place.queue / "triage" / production.operator.current.id
            assert check(bundle)
            assert (bundle / "checks" / "eval.out").read_text(encoding="utf-8") == "said\n"


SUMMARY = {"run": ["metrics_summary"], "every": "10m"}
"""The quickest of the runbook's checks."""


def test_the_runbooks_checks_run_beside_the_cycles_and_the_next_cycle_judges_them(tmp_path: Path) -> None:
    with producing(tmp_path, content(checks=SUMMARY)) as production:
        kept = production.place.queue / "checks" / production.operator.current.id
        production.traffic()
        production.cycle()
        assert production.judged("runbook")["outcome"] == "Inconclusive"
        wait_for_answer(kept, "runbook")
        # As cron does it: an hour later, in a process of its own.
        again(production).cycle(passes=3600)
        judged = production.judged("runbook")
        assert judged["sentence"] == "the runbook's checks ended with 0 (limit 0): 1 of 1 checks hold"
        assert "120 decisions of the ledger" in (kept / "metrics_summary.out").read_text(encoding="utf-8")
        assert not any("not asked again" in note for note in production.said)
        production.disagreements(60, "staging")
        # Each cycle asks anew, also the one that rolls back.
        assert production.cycle().phase is Phase.ROLLED_BACK
        bundle = production.place.bundle(production.operator.current.id)
        assert "stage staging" in (bundle / "checks" / "metrics_summary.out").read_text(encoding="utf-8")
        wait_for_answer(kept, "runbook")


def test_a_check_that_still_runs_is_not_asked_again_and_the_runner_says_so(tmp_path: Path) -> None:
    begin = Start(waived=("determinism",), checks=(check_of(sleeping(tmp_path), 100.0),))
    with producing(tmp_path, content(), begin) as production:
        production.cycle()
        worker = one_worker(tmp_path)
        production.cycle()
        assert production.said == ["eval is not asked again: the one asked 600 s ago still runs"]
        assert workers(tmp_path) == [worker]
        os.kill(worker, signal.SIGKILL)
        ended(lambda: workers(tmp_path))
        production.cycle()
        assert production.judged("eval")["outcome"] == "Error"
        worker = one_worker(tmp_path)
        os.kill(worker, signal.SIGKILL)


def test_a_check_of_the_runbooks_name_takes_its_place_and_an_empty_list_has_none(tmp_path: Path) -> None:
    own = Start(waived=("determinism",), checks=(check_of(f"runbook={PYTHON} -c pass", 1e6),))
    with producing(tmp_path, content(checks=SUMMARY), own) as production:
        production.cycle()
        kept = production.place.queue / "checks" / production.operator.current.id
        wait_for_answer(kept, "runbook")
        production.cycle()
        assert f"`{PYTHON} -c pass` ended with 0" in production.judged("runbook")["sentence"]
        assert not (kept / "metrics_summary.out").exists()
    (tmp_path / "other").mkdir()
    with producing(tmp_path / "other") as production:
        production.cycle()
        assert not (production.place.queue / "checks").exists()


def test_the_service_finds_its_store_by_url_and_no_command_line_has_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    with producing(tmp_path, content(checks=SUMMARY), url=url) as production:
        production.cycle()
        assert not [line for _, line in commands() if "check_worker" in line and "elsewhere.db" in line]
        wait_for_answer(production.place.queue / "checks" / production.operator.current.id, "runbook")
        production.cycle()
        assert production.judged("runbook")["outcome"] == "Successful"
