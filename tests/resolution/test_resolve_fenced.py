"""A correction that was decided adaptively is committed only under a word that still permits it."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from resolving import corrections

import permitted
from suffice.resolution.resolve import Resolver, summarise
from suffice.resolution.storm import StormPolicy
from suffice.serving.counted import counters_of
from suffice.serving.verifier import Verifier
from suffice.sources.correction import Correction
from suffice.store.database import Store
from suffice.store.decision_row import WhyFixed
from suffice.store.irregular import Irregular, irregular_of
from suffice.store.ledger import Ledger
from suffice.store.note import NAME, read_note, write_note
from suffice.telemetry.counters import Counter
from suffice.telemetry.metrics_file import read
from suffice.verifier.arm import Arm

PATIENCE = 60.0
ROLLOUT = "verifier-000001"
CONFIG = {
    "verifier": {
        "rule": "proportion",
        "n_samples": 64,
        "adaptive_sampling": {"enabled": True, "n_min": 8, "look_every": 8, "n0": 8},
    }
}


def write(store: Store, plan_id: str, phase: str = "Progressing", **changes: object) -> None:
    exposure = permitted.WORD.exposure if phase == "Progressing" else None
    word = replace(permitted.OF_VERIFIER, plan_id=plan_id, phase=phase, exposure=exposure)
    permitted.written(store, word, time.time(), **changes)


@pytest.fixture
def verifier(tmp_path: Path) -> Iterator[Verifier]:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    with Verifier.from_config(tmp_path / "config.json", queue=tmp_path / "queue") as process:
        write(process.store, process.plan.id)
        assert process._background is not None
        agent, waited = process._background.agent, time.monotonic()
        while (agent.read is None or agent.read.known is None) and time.monotonic() - waited < PATIENCE:
            agent.wait_for_read(agent.read, 1.0)
        yield process


def resolved(verifier: Verifier, claims: list[Correction], meanwhile: Callable[[], object]) -> Resolver:
    """Resolve; something happens between the decisions and the transaction that acts on them."""

    def flush() -> None:
        verifier.flush()
        meanwhile()

    resolver = replace(Resolver.of(verifier, StormPolicy(3)), flush=flush)
    assert summarise(resolver.resolve(claims)).corrections == len(claims)
    return resolver


def test_adaptive_decisions_are_acted_on_while_the_word_stands(verifier: Verifier) -> None:
    resolved(verifier, corrections(30), lambda: None)
    rows = Ledger(verifier.store).rows(ROLLOUT)
    assert {row.arm for row in rows} == {Arm.ADAPTIVE}


@pytest.mark.parametrize(
    "change",
    ["rolled back", "another plan", "another rollout", "another slice", "lapsed", "an older copy", "unreadable note"],
)
def test_what_the_word_permits_no_longer_is_decided_anew_in_ledger_and_counters(
    verifier: Verifier, tmp_path: Path, change: str
) -> None:
    queue = tmp_path / "queue"
    store, plan = verifier.store, verifier.plan.id
    changes: dict[str, Callable[[], object]] = {
        "rolled back": lambda: write(store, plan, phase="RollingBack"),
        "another plan": lambda: write(store, "another"),
        "another rollout": lambda: write(store, plan, rollout="verifier-000002"),
        "another slice": lambda: write(store, plan, exposure={"weight": 0, "salt": "salt", "regions": []}),
        "lapsed": lambda: write(store, plan, length=0.0),
        # The store was put back with its identity, and somebody else on this host has seen what came after it.
        "an older copy": lambda: write_note(queue, replace(read_note(queue), epoch=99)),
        "unreadable note": lambda: (queue / NAME).write_text("{", encoding="utf-8"),
    }
    claims = corrections(30)
    resolved(verifier, claims, changes[change])
    rows = Ledger(store).rows(ROLLOUT)
    assert len({row.key for row in rows}) == len(rows) > 20
    assert {(row.arm, row.why_fixed, row.n, row.adaptive_n) for row in rows} == {(Arm.FIXED, WhyFixed.FENCED, 64, None)}
    # Some of them were counted in the file before they were decided anew, the others in memory.
    verifier.flush()
    stored, counted = read(queue / "metrics.json").counts, counters_of(rows).snapshot()
    by_resolver = {Counter.ROLLBACKS: stored.counters[Counter.ROLLBACKS]}
    assert stored == replace(counted, counters={**counted.counters, **by_resolver})
    with store.read() as connection:
        assert irregular_of(connection, ROLLOUT, "full")[Irregular.REUSED].count == 0
        arms = set(connection.exec_driver_sql("SELECT arm, n FROM resolutions WHERE arm IS NOT NULL").all())
    assert {tuple(row) for row in arms} == {("fixed", 64)}
