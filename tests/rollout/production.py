"""A small service in production, with its traffic, for the tests of its rollouts."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from suffice.decision.rule import Decision
from suffice.flag.client import FlagClient
from suffice.rollout.controller import State
from suffice.rollout.operator import Operator, Start
from suffice.rollout.world import Place
from suffice.serving.fence import Read
from suffice.serving.permission import situation_of
from suffice.serving.situation import SERVICE, Situation
from suffice.serving.verifier import Verifier
from suffice.sources.correction import Correction, Estimate
from suffice.stopping.plan import Plan
from suffice.store.database import Store
from suffice.store.decision_row import DecisionRow, Reason
from suffice.store.ledger import Ledger
from suffice.store.words import read_word
from suffice.telemetry.counters import Counters
from suffice.verifier.arm import Arm

BEGAN = 1_800_000_000.0
CYCLE = 600.0
WAIVED = Start(waived=("determinism",))
AGAIN = replace(WAIVED, enable=True, accepted={"open-item": "the cause is known"})
"""After a rollback."""

STAGES: list[dict[str, Any]] = [
    {"name": "staging", "weight": 0, "shadow": True, "hold": "20m", "min_audits": 100},
    {"name": "canary", "weight": 50, "regions": ["eu"], "hold": "20m", "min_audits": 50},
    {"name": "full", "weight": 100, "audit_fraction": 0.1},
]


def content(**rollout: Any) -> dict[str, Any]:
    """A configuration whose proofs need few audits, and without the runbook's checks."""
    return {
        "host": {"password": "not ours", "ratio": 0.10},
        "verifier": {
            "rule": "proportion",
            "n_samples": 32,
            "adaptive_sampling": {"enabled": True, "max_disagreement": 0.01},
        },
        "rollout": {
            "acceptance": {"max_disagreement_rate": 0.1, "max_excess_escalations": 0.2},
            "cycle": "10m",
            "checks": {"run": []},
            "stages": STAGES,
            **rollout,
        },
    }


def situation_in(store: Store) -> Situation:
    """What the service's word says, whether or not it has lapsed."""
    with store.read() as connection:
        told = read_word(connection, SERVICE, 0.0)
    incarnation = told.standing.incarnation
    read = Read(told.word, 0.0, float("inf"), 0.0, incarnation, primary=True, registered=True, obstacle=told.obstacle)
    return situation_of(read, 0.0)


def place_in(folder: Path, config: dict[str, Any] | None = None, url: str | None = None) -> Place:
    path = folder / "config.json"
    path.write_text(json.dumps(config or content(), indent=2), encoding="utf-8")
    return Place(path, folder / "queue", url=url)


def edit(place: Place, **verifier: Any) -> None:
    """Change keys of the configuration's section `verifier`."""
    config = json.loads(place.config.read_text(encoding="utf-8"))
    config["verifier"].update(verifier)
    place.config.write_text(json.dumps(config), encoding="utf-8")


def corrections(first: int, count: int) -> list[Correction]:
    """Clear ones: each target moves by many standard errors, so that plan and baseline agree."""
    return [
        Correction(f"c{i}", f"t{i % 500}", Estimate(0.0, 1.0, 1.0), Estimate(9.0, 1.0, 1.0), region=("eu", "us")[i % 2])
        for i in range(first, first + count)
    ]


@dataclass
class Clock:
    """The time of a test, in seconds since the epoch."""

    now: float = BEGAN

    def __call__(self) -> float:
        return self.now


@dataclass
class Production:
    """A service whose operator and whose traffic are the test."""

    operator: Operator
    clock: Clock
    flag: FlagClient
    opened: ExitStack = field(default_factory=ExitStack)
    sent: int = 0
    said: list[str] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return self.operator.place

    @property
    def state(self) -> State:
        return self.operator.state

    @property
    def store(self) -> Store:
        return self.operator.store

    def plan(self) -> Plan:
        return Plan.from_dict(self.operator.current.config["table"])

    def traffic(self, count: int = 120) -> None:
        """Decide this many new cases, the way production does."""
        with self.process(situation_in(self.store)) as verifier:
            for correction in corrections(self.sent, count):
                verifier.verify(correction.case())
        self.sent += count

    def process(self, situation: Situation | None = None, flag: FlagClient | None = None) -> Verifier:
        """A process that knows the present situation and flag, or those that it is given."""
        return Verifier(
            self.plan(),
            42,
            flag or self.flag,
            enabled=True,
            counters=Counters(),
            clock=self.clock,
            ledger=Ledger(self.store),
            situation=lambda: situation or situation_in(self.store),
        )

    def cycle(self, passes: float = CYCLE) -> State:
        """Let time pass, and judge."""
        self.clock.now += passes
        report = self.operator.cycle()
        self.said += report.notes
        assert report.phase is self.state.phase
        return self.state

    def until(self, stage: str, cycles: int = 6) -> State:
        """Traffic and cycles until a stage begins."""
        for _ in range(cycles):
            if self.state.current.name == stage:
                break
            self.traffic()
            self.cycle()
        assert self.state.current.name == stage, self.state.why
        return self.state

    def disagreements(self, count: int, stage: str) -> None:
        """Audits of a stage that differ from the baseline."""
        rows = [
            DecisionRow(
                key=f"bad{i}",
                target=f"t{i}",
                arm=Arm.ADAPTIVE,
                decision=Decision.ACCEPTED,
                n=8,
                fixed_n=32,
                estimate=0.9,
                reason=Reason.ACCEPT_BOUNDARY,
                seed=42,
                plan_id=self.plan().id,
                at=self.clock(),
                rollout=self.operator.current.id,
                stage=stage,
                region="eu",
                audited=True,
                baseline_decision=Decision.REJECTED,
                baseline_n=32,
                adaptive_decision=Decision.ACCEPTED,
                adaptive_n=8,
                agrees=False,
            )
            for i in range(count)
        ]
        Ledger(self.store).append(rows)

    def judged(self, gate: str) -> dict[str, Any]:
        """What the last cycle's gate said."""
        event = next(event for event in reversed(self.operator.history()) if event.action == "judge")
        return next(dict(result) for result in event.numbers["gates"] if result["gate"] == gate)

    def actions(self) -> list[str]:
        return [event.action for event in self.operator.history() if event.action != "judge"]


@contextmanager
def producing(
    folder: Path,
    config: dict[str, Any] | None = None,
    begin: Start | None = WAIVED,
    clock: Clock | None = None,
    url: str | None = None,
) -> Iterator[Production]:
    """A service with a rollout that has been started, unless `begin` is None; its store may be at a `url`."""
    place, clock = place_in(folder, config, url), clock or Clock()
    with ExitStack() as opened:
        operator = opened.enter_context(Operator(place, clock=clock))
        if begin is not None:
            operator.start("ann", begin)
        flag = opened.enter_context(FlagClient.from_file(place.flag, poll_ms=20))
        yield Production(operator, clock, flag, opened)


def again(before: Production) -> Production:
    """The same service, as a process that starts anew sees it."""
    return replace(before, operator=before.opened.enter_context(Operator(before.place, clock=before.clock)))


def workers(folder: Path) -> list[int]:
    """The wrappers at work for a folder."""
    return [pid for pid, line in commands() if "check_worker" in line and str(folder) in line]


def commands() -> list[tuple[int, str]]:
    """Every process with its command line."""
    listed = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                line = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
                listed.append((int(entry.name), line))
    return listed
