"""Gates that are commands: the runbook's checks, run at a pace of their own, with what they printed kept."""

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from suffice.errors import ExitCode, RolloutError
from suffice.files import write_atomically
from suffice.gates.outcome import GateResult, Outcome
from suffice.rollout.controller import State

TIMEOUT_SECONDS = 3600.0

_OUTCOMES: dict[int, Outcome] = {ExitCode.HOLDS: Outcome.SUCCESSFUL, ExitCode.CANNOT_TELL: Outcome.ERROR}
"""What an exit code says; any other one is a failure."""

_KEPT = 20_000
"""Characters of output that are kept, the last ones."""


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
class Answer:
    """What a check said: when (seconds since the epoch), its exit code (None: it did not end), the end of its
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
    """Each check's answer; those that are due are asked first, unless `ask` is False. Raises OutputError."""
    return [_judge(Check(**check), folder, now, ask=ask) for check in checks]


def outputs(folder: Path) -> dict[str, str]:
    """What each check printed when it was asked last, as NAME.out; a check without an answer has none."""
    kept = ((path, _kept(path)) for path in sorted(folder.glob("*.json")))
    return {f"{path.stem}.out": answer.output for path, answer in kept if answer is not None}


def _judge(check: Check, folder: Path, now: float, *, ask: bool) -> GateResult:
    path = folder / f"{check.name}.json"
    answer = _kept(path)
    # An answer from the future was given before the clock went back.
    if ask and (answer is None or not 0 <= now - answer.at < check.every):
        answer = _asked(check.command, now)
        write_atomically(folder / f"{check.name}.out", answer.output)
        write_atomically(path, json.dumps(asdict(answer), indent=2) + "\n")
    if answer is None:
        return GateResult(check.name, Outcome.INCONCLUSIVE, "has not been asked yet (limit exit 0)", None, 0.0)
    if answer.code is None:
        return GateResult(check.name, Outcome.ERROR, f"{answer.output} (limit exit 0)", None, 0.0)
    outcome = _OUTCOMES.get(answer.code, Outcome.FAILED)
    last_line = (answer.output.strip().splitlines() or ["nothing"])[-1]
    sentence = f"`{check.command}` ended with {answer.code} (limit 0): {last_line}"
    return GateResult(check.name, outcome, sentence, float(answer.code), 0.0)


def _asked(command: str, now: float) -> Answer:
    words = shlex.split(command) if os.name == "posix" else command
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(now, None, f"`{command}` did not end within {TIMEOUT_SECONDS:,.0f} s")
    except OSError as error:
        return Answer(now, None, f"`{command}` cannot be run: {error.strerror or error}")
    return Answer(now, done.returncode, done.stdout[-_KEPT:])


def _kept(path: Path) -> Answer | None:
    try:
        return Answer(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
