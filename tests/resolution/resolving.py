"""Corrections and verdicts for the tests of resolving."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from effects import Effect, Moment, count_effects
from suffice.decision.proportion import Proportion
from suffice.decision.rule import Decision
from suffice.resolution.resolve import Resolver, summarise
from suffice.resolution.storm import StormPolicy
from suffice.sources.correction import Correction, Estimate
from suffice.stopping.run import Verdict
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow, Reason
from suffice.store.ledger import Ledger
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case
from suffice.verifier.loop import decide_fixed, observations

RULE, N, SEED = Proportion(0.8), 16, 42
MANY = 600
"""Corrections that take a while."""


def corrections(count: int, targets: int = 50) -> list[Correction]:
    """Chains of measurements: each record is the measurement before it, as in a literature."""
    rng, last, claims = np.random.default_rng(1), dict[int, Estimate](), []
    for i in range(count):
        target = int(rng.integers(targets))
        record = last.get(target, Estimate(0.0, 1.0, 1.0))
        measured = Estimate(round(float(rng.normal(0, 3)), 3), 1.0, 0.5 if i % 3 else 1.0)
        last[target] = measured
        claims.append(Correction(f"c{i}", f"t{target}", record, measured, f"{1950 + i:05d}"))
    return claims


def verify(case: Case) -> Verdict:
    """The baseline, on few draws."""
    return decide_fixed(observations(case, RULE, N, SEED), RULE)


@dataclass(frozen=True)
class Answer:
    decision: Decision
    n: int = 16
    fixed_n: int = 256
    arm: str | None = "adaptive"


def by_hash(case: Case) -> Answer:
    """A verdict without draws, a function of the key alone."""
    return Answer(Decision.ACCEPTED if sha256(case.key.encode()).digest()[0] < 96 else Decision.REJECTED)


class Recording:
    """A verifier that buffers ledger rows as production does; `flush` writes them."""

    def __init__(self, store: Store) -> None:
        self._ledger, self._rows = Ledger(store), list[DecisionRow]()

    def verify(self, case: Case) -> Verdict:
        v = verify(case)
        row = DecisionRow(
            *(case.key, case.target, Arm.FIXED, v.decision, v.n, v.fixed_n, v.estimate, Reason[v.reason.name]),
            *(SEED, "", 0.0),
        )
        self._rows.append(row)
        return v

    def flush(self) -> None:
        self._ledger.append(self._rows)
        self._rows.clear()


def resolver(store: Store, batch: int = 25) -> Resolver:
    recording = Recording(store)
    return Resolver(store, recording.verify, StormPolicy(3), lambda: 1.5, batch=batch, flush=recording.flush)


def resolve_in(path: Path, moment: Moment | None = None) -> dict[Effect, int]:
    """Be a process that resolves on a store until a moment, or to the end; the effects that it had."""
    effects = count_effects(moment)
    with open_store(path) as store:
        summarise(resolver(store).resolve(corrections(MANY)))
    return effects


def note_effects(path: Path) -> None:
    path.with_suffix(".effects").write_text(str(resolve_in(path)[Effect.STATEMENT]), encoding="ascii")
