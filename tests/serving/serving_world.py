"""Cases, flags and a verifier for the tests of serving; run as a program, it decides cases and flushes its metrics."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from suffice.decision.proportion import Proportion
from suffice.flag.answer import FlagAnswer
from suffice.serving.situation import Situation
from suffice.serving.verifier import Verifier
from suffice.stopping.make import plan
from suffice.store.database import Store
from suffice.store.ledger import Ledger
from suffice.telemetry.counters import Counters
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case

N, SEED = 64, 42
PLAN = plan(Proportion(0.8), N, 0.01, look_every=8)


@dataclass
class Flags:
    """A flag that answers as it is told: adaptive for these targets; None breaks."""

    adaptive: Callable[[str], bool] | None = field(default=lambda _: True)

    def ask(self, target: str, region: str | None = None) -> FlagAnswer:
        if self.adaptive is None:
            raise RuntimeError("the flag broke")
        return FlagAnswer(Arm.ADAPTIVE if self.adaptive(target) else Arm.FIXED, resolved=True, reason="told")


@dataclass
class Trials:
    """A sampler of successes with this probability, that counts its draws; some are NaN."""

    share: float
    nans: float = 0.0
    drawn: int = 0

    def __call__(self, rng: Generator, n: int) -> NDArray[np.float64]:
        self.drawn += n
        values = (rng.random(n) < self.share).astype(np.float64)
        return np.where(rng.random(n) < self.nans, np.nan, values)


def case(i: int, share: float = 0.8, nans: float = 0.0, region: str | None = None) -> Case:
    return Case(f"k{i}", f"t{i}", Trials(share, nans), region)


def cases(count: int) -> list[Case]:
    """Clear and borderline ones, a third of them with a NaN now and then, early or late."""
    rng = np.random.default_rng(3)
    return [case(i, float(rng.choice([0.5, 0.8, 0.97])), 0.02 if i % 3 == 0 else 0.0) for i in range(count)]


def verifier(store: Store | None = None, **changes: Any) -> Verifier:
    settings: dict[str, Any] = {
        "flag": Flags(),
        "enabled": True,
        "counters": Counters(),
        "clock": lambda: 1.0,
        "ledger": Ledger(store) if store else None,
        "situation": lambda: Situation(rollout="r", stage="canary", audit_fraction=0.3),
    }
    return Verifier(PLAN, SEED, **{**settings, **changes})


def main(folder: str, first: str, count: str) -> None:
    """Decide cases with what a configuration names."""
    with Verifier.from_config(Path(folder) / "config.json", queue=Path(folder) / "queue") as process:
        while process.obstacle:  # On a loaded machine the first word takes longer than a start waits for it.
            time.sleep(0.01)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for i in range(int(first), int(first) + int(count)):
            process.verify(case(i, 0.95, region="eu"))


if __name__ == "__main__":
    main(*sys.argv[1:])
