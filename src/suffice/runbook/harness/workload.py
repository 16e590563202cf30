"""The reference workload: plain corrections, none of which should escalate, resolved as production does it.

Some are clear and some are noise, half of the targets on either arm. Between the clear ones stands less noise than
makes a storm, so an escalation here is a decision path that is broken and not bad luck.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import update

from suffice.flag.answer import FlagAnswer
from suffice.resolution.judge import Outcome, Resolution
from suffice.resolution.resolve import Resolver, Summary, summarise
from suffice.resolution.storm import StormPolicy
from suffice.serving.situation import Situation
from suffice.serving.verifier import Verifier
from suffice.sources.correction import Correction, Estimate
from suffice.stopping.plan import Plan
from suffice.store.chain import Verification
from suffice.store.database import Store, open_store
from suffice.store.events import provenance_of, verify_provenance
from suffice.store.ledger import Ledger
from suffice.store.schema import provenance
from suffice.telemetry.counters import Counters, Counts
from suffice.verifier.arm import Arm

TARGETS = 60
MOST_NOISE = 2


@dataclass(frozen=True, slots=True)
class Workload:
    """What became of the workload: counts, the provenance chain as it was written, after one event was edited, and the
    targets whose events do not tell what happened."""

    summary: Summary
    counts: Counts
    chain: Verification
    edited: int
    after_edit: Verification
    untold: tuple[str, ...]


class _EveryOther:
    """A flag that is on for every other target."""

    def ask(self, target: str, region: str | None = None) -> FlagAnswer:
        del region
        arm = Arm.ADAPTIVE if int(target.rpartition("-")[2]) % 2 else Arm.FIXED
        return FlagAnswer(arm, resolved=True, reason="SPLIT")


def corrections(policy: StormPolicy) -> list[Correction]:
    """A clear correction, as much noise as does not make a storm, and a clear one back; for each target."""
    noise = MOST_NOISE if policy.max_rollbacks is None else min(MOST_NOISE, policy.max_rollbacks - 1)
    low, high = Estimate(10.0, 0.1, 0.1), Estimate(12.0, 0.1, 0.2)
    steps = [(low, high), *[(high, Estimate(12.01, 5.0, 5.0))] * noise, (high, low)]
    return [
        Correction(f"reference-{i:02d}/{step}", f"reference-{i:02d}", was, measured, str(step))
        for i in range(TARGETS)
        for step, (was, measured) in enumerate(steps)
    ]


def resolve_reference(plan: Plan, seed: int, policy: StormPolicy, at: float, counters: Counters) -> Workload:
    """Resolve the workload on a store of its own and count it; every adaptive decision is audited."""
    with (
        TemporaryDirectory(prefix="suffice-") as folder,
        open_store(Path(folder) / "store.sqlite", durable=False) as store,
    ):
        verifier = Verifier(
            plan,
            seed,
            _EveryOther(),
            enabled=True,
            counters=counters,
            clock=lambda: at,
            ledger=Ledger(store),
            situation=lambda: Situation(audit_fraction=1.0),
        )
        resolved = list(Resolver.of(verifier, policy).resolve(corrections(policy)))
        summary = summarise(resolved)
        untold = _untold(store, resolved)
        edited = len(resolved) // 2
        before = _verified(store)
        _edit(store, edited)
        return Workload(summary, counters.snapshot(), before, edited, _verified(store), untold)


def _verified(store: Store) -> Verification:
    with store.read() as connection:
        return verify_provenance(connection)


def _edit(store: Store, seq: int) -> None:
    """What somebody with a database client would do."""
    with store.write() as connection:
        connection.execute(update(provenance).where(provenance.c.seq == seq).values(payload='{"value":0}'))


def _untold(store: Store, resolved: list[Resolution]) -> tuple[str, ...]:
    """Targets whose provenance does not end each correction with its outcome."""
    told: dict[str, list[str]] = {}
    for resolution in resolved:
        told.setdefault(resolution.correction.target, []).append(resolution.outcome.name.lower())
    closing = {outcome.name.lower() for outcome in Outcome}
    with store.read() as connection:
        return tuple(
            target
            for target, outcomes in told.items()
            if [e.event for e in provenance_of(connection, target) if e.event in closing] != outcomes
        )
