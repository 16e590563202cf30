"""Evidence from the ledger equals a count by hand, in whatever portions the ledger grows."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_rows import PLAIN, by_hand, chance, rows
from numpy.random import Generator
from numpy.typing import NDArray

from store_places import Place, Reused
from suffice.config import Stage
from suffice.decision.proportion import Proportion
from suffice.decision.rule import Decision
from suffice.evidence.measurements import Evidence
from suffice.evidence.reader import EvidenceReader
from suffice.flag.answer import FlagAnswer
from suffice.resolution.storm import StormPolicy
from suffice.serving.situation import Situation
from suffice.serving.verifier import Verifier
from suffice.stopping.make import plan
from suffice.store.database import open_store
from suffice.store.decision_row import DecisionRow, WhyFixed
from suffice.store.ledger import Ledger
from suffice.telemetry.counters import Counters
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case


def test_evidence_is_what_a_count_by_hand_gives(reused: Reused) -> None:
    @given(st.lists(rows(), max_size=60), st.lists(st.integers(0, 60), max_size=3), st.sampled_from([(), ("eu",)]))
    @settings(max_examples=reused.examples(30))
    def holds(drawn: list[DecisionRow], cuts: list[int], regions: tuple[str, ...]) -> None:
        drawn = [replace(row, key=f"k{i}") for i, row in enumerate(drawn)]
        stages = [Stage(name="canary", weight=5, regions=regions), Stage(name="expand", weight=50)]
        ledger = Ledger(reused.emptied())
        reader = EvidenceReader(ledger, "r", StormPolicy(2), chance=chance)
        start = 0
        for cut in (*sorted(cuts), len(drawn)):
            ledger.append(drawn[start:cut])
            start = max(start, cut)
            for stage in stages:
                assert reader.read(stage, 7.0, 90.0) == by_hand(drawn[:start], stage, 7.0, 90.0, 2)

    holds()


def test_nothing_in_the_ledger_is_no_evidence_but_known_to_be_none(place: Place) -> None:
    with open_store(place, durable=False) as store:
        evidence = EvidenceReader(Ledger(store), "r", StormPolicy(3)).read(Stage(name="canary", weight=5), 10.0, 25.0)
    assert (evidence.decisions, evidence.audits, evidence.silence) == (0, 0, 15.0)


@pytest.mark.parametrize("why", [None, *WhyFixed])
def test_the_arms_share_counts_targets_whose_arm_a_live_word_chose(place: Place, why: WhyFixed | None) -> None:
    """`None` is a row of a version without words."""
    with open_store(place, durable=False) as store:
        Ledger(store).append([replace(PLAIN, why_fixed=why)])
        evidence = EvidenceReader(Ledger(store), "r", StormPolicy(3)).read(Stage(name="canary", weight=5), 0.0, 0.0)
    chosen = why in (None, WhyFixed.EXPOSURE, WhyFixed.FALLBACK)
    assert (evidence.decisions, evidence.adaptive_targets, evidence.fixed_targets) == (1, 0, int(chosen))


@pytest.mark.parametrize(("scope", "escalated"), [(None, 1), (lambda row: row.key.partition("/")[0], 0)])
def test_a_scope_keeps_passes_apart(place: Place, scope: Callable[[DecisionRow], str] | None, escalated: int) -> None:
    audit = {
        "audited": True,
        "baseline_decision": Decision.REJECTED,
        "adaptive_decision": Decision.REJECTED,
        "agrees": True,
    }
    audits = [replace(PLAIN, key=f"k#{i % 2}/{i}", decision=Decision.REJECTED, **audit) for i in range(4)]  # type: ignore[arg-type]
    with open_store(place, durable=False) as store:
        Ledger(store).append(audits)
        reader = EvidenceReader(Ledger(store), "r", StormPolicy(3), scope)
        reader.read(Stage(name="canary", weight=5), 0.0, 0.0)
    counted = reader.stages["canary"]
    assert (counted.escalated_adaptive, counted.escalated_baseline) == (escalated, escalated)


def test_what_is_invalid_is_no_rollback_in_either_world(place: Place) -> None:
    audit = replace(
        PLAIN, arm=Arm.ADAPTIVE, n=8, audited=True, decision=Decision.ACCEPTED, adaptive_decision=Decision.ACCEPTED,
        adaptive_n=8, baseline_decision=Decision.INVALID, baseline_n=64, agrees=False, invalid=True,
    )  # fmt: skip
    with open_store(place, durable=False) as store:
        Ledger(store).append([replace(audit, key=f"k{i}") for i in range(5)])
        evidence = EvidenceReader(Ledger(store), "r", StormPolicy(2)).read(Stage(name="canary", weight=5), 0.0, 9.0)
    assert (evidence.audits, evidence.disagreements) == (5, 5)
    assert (evidence.audited_targets, evidence.excess, evidence.spared) == (1, 0, 0)


def test_a_stage_is_read_beside_the_shadow(place: Place) -> None:
    invalid = replace(PLAIN, decision=Decision.INVALID, invalid=True)
    with open_store(place, durable=False) as store:
        Ledger(store).append([replace(PLAIN, key=f"k{i}", stage="staging") for i in range(4)])
        Ledger(store).append([replace(invalid, key="k4", stage="staging"), replace(invalid, key="k5")])
        reader = EvidenceReader(Ledger(store), "r", StormPolicy(2))
        beside = reader.read(Stage(name="canary", weight=5), 0.0, 9.0, "staging")
        alone = reader.read(Stage(name="canary", weight=5), 0.0, 9.0)
    assert (beside.invalid, beside.shadow_decisions, beside.shadow_invalid) == (1, 5, 1)
    assert (alone.invalid, alone.shadow_decisions, alone.shadow_invalid) == (1, 0, 0)


class Everybody:
    """A flag that puts all targets on the adaptive arm."""

    def ask(self, target: str, region: str | None = None) -> FlagAnswer:
        return FlagAnswer(Arm.ADAPTIVE, resolved=True, reason="told")


def test_the_benefit_counts_the_draws_that_a_sampler_made(place: Place) -> None:
    """Called in blocks of 8, with a look after each draw, it makes more than a decision takes."""
    made = 0

    def sampler(rng: Generator, n: int) -> NDArray[np.float64]:
        nonlocal made
        made += n
        return (rng.random(n) < 0.5).astype(np.float64)

    with open_store(place, durable=False) as store:
        verifier = Verifier(
            plan(Proportion(0.5), 64, 0.01, look_every=1), 42, Everybody(), enabled=True, counters=Counters(),
            clock=float, ledger=Ledger(store), situation=lambda: Situation(rollout="r", stage="canary"),
        )  # fmt: skip
        taken = sum(verifier.verify(Case(f"k{i}", f"t{i}", sampler)).n for i in range(30))
        verifier.flush()
        evidence = EvidenceReader(Ledger(store), "r", StormPolicy(2)).read(Stage(name="canary", weight=5), 0.0, 9.0)
    assert evidence.stopped == 30
    assert evidence.stopping_draws == made > taken
    assert set(evidence.reductions or ()) <= {str(10_000 * (64 - blocks * 8) // 64) for blocks in range(1, 9)}


def test_what_was_saved_is_added_up_over_cases_of_every_cost(place: Place) -> None:
    costs = [0.1, 0.2, 0.7, None, 1e300, 3.0]
    saved = {"arm": Arm.ADAPTIVE, "n": 10, "drawn": 16, "draw_seconds": 8.0}
    cases = [replace(PLAIN, key=f"k{i}", cost=cost, **saved) for i, cost in enumerate(costs)]  # type: ignore[arg-type]
    with open_store(place, durable=False) as store:
        Ledger(store).append(cases)
        read = EvidenceReader(Ledger(store), "r", StormPolicy(3)).read
        evidence = read(Stage(name="canary", weight=5), 0.0, 0.0)
        again = read(Stage(name="canary", weight=5), 0.0, 0.0)
    assert asdict(evidence.saving) == pytest.approx(
        {"cost": 4.0 * 64, "cost_saved": 4.0 * 48, "seconds": 6 * 32.0, "seconds_saved": 6 * 24.0}
    )
    assert again == evidence
    assert Evidence.of_plain(json.loads(json.dumps(asdict(evidence)))).saving == evidence.saving
