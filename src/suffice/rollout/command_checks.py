"""Gates that are commands, run beside the rollout at a pace of their own, with what they printed kept.

No gate waits for a check: a cycle starts those that are due, and judges the answers that are there. A check that is
asked again answers as it did last until the new answer comes.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from threading import Thread
from types import MappingProxyType, NoneType
from typing import Protocol

from suffice import strict_json
from suffice.errors import ExitCode, OutputError, RolloutError
from suffice.files import read_whole, replacing
from suffice.gates.outcome import GateResult, Outcome
from suffice.locks import hand_on, was_let_go
from suffice.rollout import check_worker
from suffice.rollout.controller import State
from suffice.runbook.telling import telling_line

TIMEOUT_SECONDS = 3600.0

_OUTCOMES: dict[int, Outcome] = {ExitCode.HOLDS: Outcome.SUCCESSFUL, ExitCode.CANNOT_TELL: Outcome.ERROR}
"""What an exit code says; any other one is a failure, unless the command never came to an answer (`_cut_off`)."""

_PYTEST = re.compile(r"""(^|[\s/'"])(pytest|py\.test)(\.exe)?([\s'"]|$)""")
_PYTEST_UNANSWERED = {2: "it was interrupted", 3: "an internal error", 4: "a wrong use", 5: "no tests were found"}
"""https://docs.pytest.org/en/stable/reference/exit-codes.html"""

_SHELL_SIGNALS = range(129, 160)
"""What a shell ends with for a command that a signal ended: 128 and the signal's number."""

_GRACE_SECONDS = 60.0
"""After its deadline a check has had time to write its answer; one that still runs then is given up."""


@dataclass(frozen=True, slots=True)
class Check:
    """A command whose exit code is a gate's answer, asked again when its answer is `every` seconds old.

    It is killed after `deadline` seconds. `shown` is what sentences call it, where that is not the command. `answers`
    are the exit codes that it has as an answer, where we know: with any other one it broke.
    """

    name: str
    command: str
    every: float
    deadline: float = TIMEOUT_SECONDS
    shown: str = ""
    answers: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        return self.shown or f"`{self.command}`"


class Checks(Protocol):
    """Gates of a cycle beside those that judge the ledger; nothing is run unless `ask`."""

    def judge(self, state: State, *, ask: bool) -> Sequence[GateResult]: ...

    def skipped(self) -> Sequence[str]:
        """A sentence for each check that is due and will not be asked, because the last asking still runs."""
        ...

    def outputs(self, stage: str) -> Mapping[str, str]:
        """What the checks printed when they were asked last, as text by file name."""
        ...


@dataclass(frozen=True, slots=True)
class Commands:
    """The checks of a rollout; what they printed is kept in `folder`. They have `environment` beside the runner's."""

    checks: Sequence[Check]
    folder: Path
    clock: Callable[[], float]
    environment: Mapping[str, str] = field(default_factory=dict)

    def judge(self, state: State, *, ask: bool) -> Sequence[GateResult]:  # noqa: ARG002
        return judge_checks(self.checks, self.folder, self.clock(), ask=ask, environment=self.environment)

    def skipped(self) -> Sequence[str]:
        now = self.clock()
        askings = [(check, _asking(check, self.folder, now)) for check in self.checks]
        return [
            f"{check.name} is not asked again: the one asked {now - asking.since:,.0f} s ago still runs"
            for check, asking in askings
            if asking.since is not None and _is_old(_kept(self.folder, check.name), check.every, now)
        ]

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
    checks: Iterable[Check],
    folder: Path,
    now: float,
    *,
    ask: bool = True,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> list[GateResult]:
    """Each check's answer; those that are due are started first, unless `ask` is False. Waits for none."""
    return [_judge(check, folder, now, environment if ask else None) for check in checks]


def outputs(folder: Path) -> dict[str, str]:
    """What each check printed when it was asked last, as NAME.out; a check without an answer has none."""
    return {path.name: read_whole(path).decode() for path in sorted(folder.glob("*.out"))}


def _judge(check: Check, folder: Path, now: float, environment: Mapping[str, str] | None) -> GateResult:
    """The answer of a check, which is started first where it is due; without an environment it is not."""
    asking = _asking(check, folder, now)
    answer = asking.answer
    if asking.due and environment is not None:
        problem = _start(check, folder, now, environment)
        answer = LastAnswer(now, None, problem) if problem else answer
    if answer is None:
        return GateResult(check.name, Outcome.INCONCLUSIVE, "has not answered yet (limit exit 0)", None, 0.0)
    if answer.code is None:
        return GateResult(check.name, Outcome.ERROR, f"{answer.output} (limit exit 0)", None, 0.0)
    if cut_off := _cut_off(check, answer.code, answer.output):
        sentence = f"{check.title} gave no answer: {cut_off} (limit exit 0)"
        return GateResult(check.name, Outcome.ERROR, sentence, None, 0.0)
    outcome = _OUTCOMES.get(answer.code, Outcome.FAILED)
    sentence = (
        f"{check.title} ended with {answer.code} (limit 0): {telling_line(answer.output, failed=bool(answer.code))}"
    )
    return GateResult(check.name, outcome, sentence, float(answer.code), 0.0)


def _cut_off(check: Check, code: int, output: str) -> str:
    """What kept a command from an answer, "" when its exit code is one: a signal measures nothing."""
    if code < 0 or code in _SHELL_SIGNALS:
        return f"a signal ended it ({_signal(-code if code < 0 else code - _SHELL_SIGNALS.start + 1)})"
    if check.answers and code not in check.answers:
        return f"it broke with {code}: {telling_line(output, failed=True)}"
    unanswered = _PYTEST_UNANSWERED.get(code) if _PYTEST.search(check.command) else None
    return f"{unanswered} (pytest's {code})" if unanswered else ""


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _is_old(answer: LastAnswer | None, every: float, now: float) -> bool:
    # An answer from the future was given before the clock went back.
    return answer is None or not 0 <= now - answer.at < every


@dataclass(frozen=True, slots=True)
class _Asking:
    """How the last asking of a check stands: what is judged, since when it is at work, whether it is to be asked."""

    answer: LastAnswer | None
    since: float | None = None
    due: bool = False


def _asking(check: Check, folder: Path, now: float) -> _Asking:
    path = folder / f"{check.name}.begun"
    # In this order: a worker writes its answer and ends then.
    begun, ended = _begun(path), was_let_go(path)
    answer = _kept(folder, check.name)
    if begun is None or now < begun or (answer is not None and answer.at == begun):
        return _Asking(answer, due=_is_old(answer, check.every, now))
    if now - begun >= check.deadline + _GRACE_SECONDS:
        late = f"{check.title} gave no answer within {check.deadline:,.0f} s"
        return _Asking(LastAnswer(begun, None, late), due=True)
    if ended:
        return _Asking(LastAnswer(begun, None, f"{check.title} was ended before it answered"), due=True)
    return _Asking(answer, since=begun)


def _start(check: Check, folder: Path, now: float, environment: Mapping[str, str]) -> str | None:
    """Start a check; the sentence of what kept it from starting, None when nothing did."""
    worker = [sys.executable, "-P", "-m", check_worker.__name__, str(folder / f"{check.name}.json"), repr(now)]
    begun, lock = folder / f"{check.name}.begun", None
    try:
        with replacing(begun) as temporary:
            temporary.write_text(repr(now), encoding="utf-8")
            # Before the file has its name: whoever finds it there finds it locked.
            lock = hand_on(temporary)
        # A session of its own, on Windows a group: who ends the runner does not end it, and its lease is not handed on.
        process = subprocess.Popen(
            [*worker, repr(check.deadline), check.command],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            pass_fds=[lock.fileno()] if lock else [],
        )
    except (OSError, OutputError) as error:
        return f"{check.title} cannot be started: {error}"
    finally:
        # The worker has it now, and nobody else.
        if lock:
            lock.close()
    # Or its end would leave a zombie, as long as the runner lives.
    Thread(target=process.wait, daemon=True).start()
    return None


def _begun(path: Path) -> float | None:
    try:
        begun = float(read_whole(path))
        # One that is no moment would be waited for without end.
        return begun if isfinite(begun) else None
    except (OSError, ValueError):
        return None


def _kept(folder: Path, name: str) -> LastAnswer | None:
    try:
        answer = LastAnswer(**strict_json.loads(read_whole(folder / f"{name}.json")))
    except (OSError, ValueError, TypeError):
        return None
    fits = type(answer.at) in (int, float) and type(answer.code) in (int, NoneType) and isinstance(answer.output, str)
    return answer if fits else None
