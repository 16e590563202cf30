"""What became of a scenario's corrections, in the fixed and in the adaptive world."""

from collections.abc import Mapping
from dataclasses import dataclass

from suffice.decision.rule import Decision
from suffice.resolution.judge import Outcome, Resolution
from suffice.runbook.scenarios.setting import Setting
from suffice.serving.served import Served
from suffice.store.chain import Verification
from suffice.store.events import ProvenanceEvent
from suffice.store.records import Record
from suffice.telemetry.counters import Counts
from suffice.verifier.arm import Arm


@dataclass(frozen=True, slots=True)
class World:
    """What became of the corrections under one arm. Records and events by target, the targets in their first order."""

    arm: Arm
    resolutions: tuple[Resolution, ...]
    records: Mapping[str, Record]
    events: Mapping[str, tuple[ProvenanceEvent, ...]]
    chain: Verification
    counts: Counts

    def outcomes(self, outcome: Outcome) -> list[Resolution]:
        return [resolution for resolution in self.resolutions if resolution.outcome is outcome]

    def of(self, target: str) -> list[Resolution]:
        """The target's resolutions, in order."""
        return [resolution for resolution in self.resolutions if resolution.correction.target == target]

    @property
    def served(self) -> dict[str, Served]:
        """The decisions that were made, by the key of their correction."""
        decisions = ((r.correction.key, r.verdict) for r in self.resolutions)
        return {key: verdict for key, verdict in decisions if isinstance(verdict, Served)}


@dataclass(frozen=True, slots=True)
class Worlds:
    """Both worlds of one run, and what they were run under."""

    setting: Setting
    fixed: World
    adaptive: World

    @property
    def both(self) -> tuple[World, World]:
        return self.fixed, self.adaptive

    @property
    def agree(self) -> bool:
        """Whether both worlds decided every correction alike, and the same ones."""
        return self._decisions(self.fixed) == self._decisions(self.adaptive)

    @staticmethod
    def _decisions(world: World) -> list[tuple[str, Decision]]:
        return [(key, served.decision) for key, served in world.served.items()]


def content(record: Record) -> tuple[object, ...]:
    """What a rollback must leave as it was."""
    return (record.value, record.u_plus, record.u_minus, record.context, record.time, record.version)
