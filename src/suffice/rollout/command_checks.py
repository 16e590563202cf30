"""Gates that are commands, run beside the rollout at a pace of their own, with what they printed kept.

No gate waits for a check: a cycle starts those that are due, and judges the answers that are there. A check that is
asked again answers as it did last until the new answer comes.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

from suffice import strict_json
from suffice.errors import ExitCode, OutputError, RolloutError
from suffice.files import write_atomically
from suffice.gates.outcome import GateResult, Outcome
from suffice.rollout import check_worker
from suffice.rollout.controller import State

TIMEOUT_SECONDS = 3600.0

_OUTCOMES: dict[int, Outcome] = {ExitCode.HOLDS: Outcome.SUCCESSFUL, ExitCode.CANNOT_TELL: Outcome.ERROR}
"""What an exit code says; any other one is a failure."""

_FAILING = re.compile(r"\b(FAIL|FAILED|ERROR|Error|error:|ABOVE THE LIMIT|not ok)\b|\w+(Error|Exception): ")
"""How the runbook's commands, pytest, JUnit's kin and TAP begin what failed."""

_GRACE_SECONDS = 60.0
"""After its deadline a check has had time to write its answer; without one it was killed."""


@dataclass(frozen=True, slots=True)
class Check:
    """A command whose exit code is a gate's answer, asked again when its answer is `every` seconds old."""

    name: str
    command: str
    every: float


class Checks(Protocol):
    """Gates of a cycle beside those that judge the ledger; nothing is run unless `ask`."""

    def judge(self, state: State, *, ask: bool) -> Sequence[GateResult]: ...

    def outputs(self, stage: str) -> Mapping[str, str]:
        """What the checks printed when they were asked last, as text by file name."""
        ...


@dataclass(frozen=True, slots=True)
class Commands:
    """The checks that a rollout was started with; what they printed is kept in `folder`."""

    checks: Sequence[Mapping[str, Any]]
    folder: Path
    clock: Callable[[], float]

    def judge(self, state: State, *, ask: bool) -> Sequence[GateResult]:  # noqa: ARG002
        return judge_checks(self.checks, self.folder, self.clock(), ask=ask)

    def outputs(self, stage: str) -> Mapping[str, str]:  # noqa: ARG002
        return outputs(self.folder)


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """What a check said last: when (seconds since the epoch), its exit code (None: it did not end), the end of its
    output."""

    at: float
    code: int | None
    output: str


def check_of(text: str, every: float) -> Check:
    """The check that `NAME=COMMAND` names. Raises RolloutError."""
    name, equals, command = text.partition("=")
    if not (equals and name.replace("-", "").replace("_", "").isalnum() and command.strip()):
        raise RolloutError(f"--check is {text!r}; allowed: NAME=COMMAND, the name of letters, digits, - and _")
    return Check(name, command.strip(), every)


def judge_checks(
    checks: Iterable[Mapping[str, Any]], folder: Path, now: float, *, ask: bool = True
) -> list[GateResult]:
    """Each check's answer; those that are due are started first, unless `ask` is False. Waits for none."""
    return [_judge(Check(**check), folder, now, ask=ask) for check in checks]


def outputs(folder: Path) -> dict[str, str]:
    """What each check printed when it was asked last, as NAME.out; a check without an answer has none."""
    kept = ((path, _kept(path)) for path in sorted(folder.glob("*.json")))
    return {f"{path.stem}.out": answer.output for path, answer in kept if answer is not None}


def _judge(check: Check, folder: Path, now: float, *, ask: bool) -> GateResult:
    path = folder / f"{check.name}.json"
    answer, begun = _kept(path), _begun(folder, check.name)
    if ask and _is_old(answer, check.every, now) and not _is_running(answer, begun, now):
        if begun is not None and (answer is None or begun > answer.at) and now >= begun:
            answer = LastAnswer(begun, None, f"`{check.command}` gave no answer within {TIMEOUT_SECONDS:,.0f} s")
        problem = _start(check, folder, now)
        answer = LastAnswer(now, None, problem) if problem else answer
    if answer is None:
        return GateResult(check.name, Outcome.INCONCLUSIVE, "has not answered yet (limit exit 0)", None, 0.0)
    if answer.code is None:
        return GateResult(check.name, Outcome.ERROR, f"{answer.output} (limit exit 0)", None, 0.0)
    outcome = _OUTCOMES.get(answer.code, Outcome.FAILED)
    sentence = f"`{check.command}` ended with {answer.code} (limit 0): {_telling_line(answer)}"
    return GateResult(check.name, outcome, sentence, float(answer.code), 0.0)


def _telling_line(answer: LastAnswer) -> str:
    """The first line that says what failed, where something did; else the last."""
    lines = [line.strip() for line in answer.output.splitlines() if line.strip()] or ["nothing"]
    failing = (line for line in lines if answer.code and _FAILING.search(line))
    return next(failing, lines[-1])


def _is_old(answer: LastAnswer | None, every: float, now: float) -> bool:
    # An answer from the future was given before the clock went back.
    return answer is None or not 0 <= now - answer.at < every


def _is_running(answer: LastAnswer | None, begun: float | None, now: float) -> bool:
    if begun is None or (answer is not None and answer.at == begun):
        return False
    return 0 <= now - begun < TIMEOUT_SECONDS + _GRACE_SECONDS


def _start(check: Check, folder: Path, now: float) -> str | None:
    """Start a check; the sentence of what kept it from starting, None when nothing did."""
    worker = [sys.executable, "-m", check_worker.__name__, str(folder / f"{check.name}.json"), repr(now)]
    try:
        write_atomically(folder / f"{check.name}.begun", repr(now))
        # A session of its own: who ends the runner does not end it, and its lease is not handed on.
        process = subprocess.Popen(
            [*worker, repr(TIMEOUT_SECONDS), check.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, OutputError) as error:
        return f"`{check.command}` cannot be started: {error}"
    # Or its end would leave a zombie, as long as the runner lives.
    Thread(target=process.wait, daemon=True).start()
    return None


def _begun(folder: Path, name: str) -> float | None:
    try:
        return float((folder / f"{name}.begun").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _kept(path: Path) -> LastAnswer | None:
    try:
        return LastAnswer(**strict_json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
