"""The runbook's checks of a rehearsal: once for each stage, in a process beside the traffic."""

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from suffice import strict_json
from suffice.errors import OutputError
from suffice.files import read_whole
from suffice.gates.outcome import GateResult, Outcome
from suffice.rollout.controller import State
from suffice.rollout.phases import Phase
from suffice.runbook import worker

GATE = "runbook"
BUDGET = 12
"""Runs of each sweep: one for each scenario."""

_ANSWERS, _TROUBLE = "runbook.json", "trouble.out"
_HOLDS, _CANNOT_TELL = 0, 3


class Runbook:
    """Runs the checks under the rehearsal's own configuration; what the checks print stays in `folder`/STAGE.

    What an earlier process asked and had answered is not asked again. They run beside the traffic; a cycle in which the
    stage `may_end` waits for them.
    """

    def __init__(self, folder: Path, config: Path, may_end: Callable[[State], bool] = lambda _: True) -> None:
        self.folder, self._config, self._may_end = folder, config, may_end
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def judge(self, state: State, *, ask: bool) -> Sequence[GateResult]:
        """The gate of a cycle. Raises OutputError when the checks cannot be started."""
        stage = state.current.name
        if ask and state.phase is Phase.PROGRESSING:
            self.begin(stage)
        return (self.answer(stage, wait=self._may_end(state)),)

    def skipped(self) -> Sequence[str]:
        """None: each stage asks once."""
        return ()

    def begin(self, stage: str) -> None:
        """Start the checks of a stage, unless they were. Raises OutputError."""
        folder = self.folder / stage
        if stage in self._running or (folder / _ANSWERS).exists():
            return
        command = worker.command(folder, self._config, BUDGET)
        try:
            # What a killed rehearsal left unfinished is made anew.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            with (folder / _TROUBLE).open("wb") as trouble:
                self._running[stage] = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=trouble
                )
        except OSError as error:
            raise OutputError(f"{folder}: the runbook's checks cannot be run: {error.strerror or error}") from error

    def answer(self, stage: str, *, wait: bool) -> GateResult:
        """What the checks of a stage say together; without `wait` that they were not waited for yet.

        So the answer does not depend on which of two processes is faster.
        """
        if not wait:
            return _result(
                Outcome.INCONCLUSIVE, "the checks are waited for when the stage could end (limit 0 failures)"
            )
        self.end(stage)
        try:
            answers = strict_json.loads(read_whole(self.folder / stage / _ANSWERS))["checks"]
        except (OSError, ValueError, KeyError):
            trouble = self.folder / stage / _TROUBLE
            return _result(Outcome.ERROR, f"the checks did not end; see {trouble.name} (limit 0 failures)")
        return _judged(answers)

    def end(self, stage: str) -> None:
        """Wait for the checks of a stage, if they are running."""
        process = self._running.pop(stage, None)
        if process is not None:
            process.wait()
            _close(process)

    def outputs(self, stage: str) -> Mapping[str, str]:
        """What the checks of a stage left, as text by file name; waits for them."""
        self.end(stage)
        folder = self.folder / stage
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
        return {path.relative_to(folder).as_posix(): read_whole(path).decode() for path in paths}

    def close(self) -> None:
        """End what is still running: nobody will ask."""
        for process in self._running.values():
            _close(process)
            process.wait()
        self._running.clear()


def _close(process: subprocess.Popen[bytes]) -> None:
    # Its end of input is its end.
    if process.stdin is not None:
        process.stdin.close()


def _judged(answers: dict[str, int]) -> GateResult:
    failed = [name for name, code in answers.items() if code not in (_HOLDS, _CANNOT_TELL)]
    unknown = [name for name, code in answers.items() if code == _CANNOT_TELL]
    outcome = Outcome.FAILED if failed else Outcome.ERROR if unknown or not answers else Outcome.SUCCESSFUL
    sentence = f"{len(failed)} of {len(answers)} checks fail (limit 0)"
    if failed or unknown:
        sentence += f": {', '.join(failed or unknown)}{'' if failed else ' cannot tell'}"
    return _result(outcome, sentence, float(len(failed)), {name: float(code) for name, code in answers.items()})


def _result(outcome: Outcome, sentence: str, value: float | None = None, numbers: Any = None) -> GateResult:
    return GateResult(GATE, outcome, sentence, value, 0.0, numbers or {})
