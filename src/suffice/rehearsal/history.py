"""What each cycle of a rehearsal saw, a line each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from suffice.errors import OutputError
from suffice.evidence.measurements import Evidence
from suffice.files import write_atomically
from suffice.gates import disagreement, sample_reduction
from suffice.gates.outcome import GateResult
from suffice.rollout.controller import State
from suffice.rollout.saved_state import plain_result


class History:
    """The rows of a rehearsal, in memory and in its file.

    A row is appended before the rollout acts on what it says. So a kill loses none that was acted upon, and `go_on`
    drops one that was not, with whatever the kill cut off.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: list[dict[str, Any]] = []

    def go_on(self, until: float) -> None:
        """Begin with the rows of an earlier process, up to that moment."""
        self.rows = [row for row in map(_row, _lines(self._path)) if row and row["at"] <= until]
        self.save()

    def append(self, row: dict[str, Any]) -> None:
        """Raises OutputError when it cannot be written."""
        self.rows.append(row)
        try:
            with self._path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror or error}") from error

    def ended(self, state: State) -> None:
        """Note where the last cycle led; a rollback is observed only after its row was written."""
        if self.rows and self.rows[-1]["at"] == state.last_cycle:
            self.rows[-1] |= {"phase": state.phase.value, "weight": state.weight}

    def save(self) -> None:
        """Write all rows anew."""
        write_atomically(self._path, "".join(json.dumps(row) + "\n" for row in self.rows))

    def first(self, **wanted: Any) -> Mapping[str, Any] | None:
        """The first row with these values."""
        return next((row for row in self.rows if wanted.items() <= row.items()), None)


def row_of(
    stage: str,
    after: State,
    results: Sequence[GateResult],
    evidence: Evidence,
    *,
    decisions: int,
    at: float,
    day: float,
) -> dict[str, Any]:
    """What a cycle of `stage` saw, and the state that it leads to."""
    by_gate = {result.gate: result for result in results}
    proof, saving = by_gate[disagreement.GATE], by_gate[sample_reduction.GATE]
    return {
        "at": at,
        "day": day,
        "stage": stage,
        "phase": after.phase.value,
        "weight": after.weight,
        "decisions": decisions,
        "audits": evidence.audits,
        "disagreements": evidence.disagreements,
        "disagreement_upper": proof.numbers.get("upper"),
        "disagreement_lower": proof.numbers.get("lower"),
        "sample_reduction": saving.value,
        "net": saving.numbers.get("net"),
        "excess": evidence.excess,
        "spared": evidence.spared,
        "evidence": asdict(evidence),
        "gates": [plain_result(result) for result in results],
    }


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _row(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "at" in found else None
