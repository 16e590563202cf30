"""What speaks against a start: told all at once, each accepted with a reason that is kept."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from production import AGAIN, BEGAN, WAIVED, Clock, content, place_in, producing

from store_places import ROW, Place
from suffice.cli.main import run
from suffice.errors import RolloutError
from suffice.rollout.operator import Operator, Start
from suffice.rollout.start import foresee, waived_of
from suffice.rollout.status import status_of
from suffice.rollout.subject import Subject
from suffice.store.actions import Action
from suffice.store.database import Store, open_store
from suffice.store.decision_row import WhyFixed
from suffice.store.events import ProvenanceEvent, append_provenance
from suffice.store.ledger import Ledger, traffic_of

DAY = 86_400.0
SLOWLY = content(progress_deadline="1d")
"""Its shadow stage needs 100 audits in a day and 20 minutes, its canary 50 of half of the targets in "eu"."""


def decisions(store: Store, count: int, region: str = "eu", began: float = BEGAN - 2 * DAY, **changes: Any) -> None:
    """Decisions outside any rollout, the first of them at this moment."""
    row = replace(ROW, rollout="", stage="", region=region, **changes)
    Ledger(store).append(replace(row, key=f"{region}{i}", at=began + i) for i in range(count))


def objections(folder: Path, store: Store | None, begin: Start = WAIVED, config: dict[str, Any] = SLOWLY) -> list[str]:
    """What speaks against a start."""
    place = place_in(folder, config)
    return [one.told for one in foresee(place, Subject.read(place.config), begin, store, BEGAN).objections]


def test_all_that_speaks_against_it_is_told_at_once_and_stores_nothing(tmp_path: Path) -> None:
    config = content(progress_deadline="1d")
    config["verifier"]["adaptive_sampling"] |= {"method": "margin", "n0": 8}
    with Operator(place_in(tmp_path, config), clock=Clock()) as operator:
        decisions(operator.store, 30)
        with pytest.raises(RolloutError) as refused:
            operator.start("ann", Start(targets=20))
        assert str(refused.value) == (
            "start is refused: the plan's own worst case is a disagreement of 47.7 %, and the stages allow 10 % "
            "(--accept-worst-case REASON); "
            "nothing tells how to build this service's decisions again: no --source, --records or --samples, no "
            "verifier.cases, and no provenance of suffice resolve in the store (--waive determinism); "
            "stage staging needs 100 audits, and at the rate of the last 48 h (30 decisions, 15 audits a day) it needs "
            "6.67 days; its hold and rollout.progress_deadline are 24 h 20 min (--accept-slow REASON); "
            "stage canary needs 50 audits, and at the rate of the last 48 h (30 decisions, 7.5 audits a day) it needs "
            "6.67 days; its hold and rollout.progress_deadline are 24 h 20 min (--accept-slow REASON); "
            "the source has 20 targets, and the gate targets needs 31 that agree for a proof of 10 % (--waive targets)"
        )
        assert operator.newest is None


def test_what_is_accepted_is_kept_with_its_reason_and_shown(tmp_path: Path) -> None:
    config = content(progress_deadline="1d")
    config["verifier"]["adaptive_sampling"] |= {"method": "margin", "n0": 8}
    accepted = {"slow": "nobody is in a hurry", "worst-case": "we want to see it"}
    with Operator(place_in(tmp_path, config), clock=Clock()) as operator:
        decisions(operator.store, 30)
        operator.start("ann", replace(WAIVED, accepted=accepted))
        (event,) = [event for event in operator.history() if event.action is Action.START]
        said = ["waived at the start: determinism"]
        said += [f"accepted at the start: {kind}, for {reason}" for kind, reason in accepted.items()]
        assert event.why == f"stage staging began; {'; '.join(said)}"
        assert list(status_of(operator).notes) == said
        assert operator.state.slow


def test_a_waived_gate_is_told_by_journal_and_status_with_the_reason_that_was_given(tmp_path: Path) -> None:
    """Seen: the guides ask for a reason, no option took one, and nothing told that the gate is missing."""
    waived, reasons = waived_of(["targets", "determinism=nobody has the seeds = none"])
    assert (waived, reasons) == (("targets", "determinism"), {"determinism": "nobody has the seeds = none"})
    with Operator(place_in(tmp_path), clock=Clock()) as operator:
        operator.start("ann", Start(waived, accepted=reasons))
        (event,) = [event for event in operator.history() if event.action is Action.START]
        said = ["waived at the start: targets", "waived at the start: determinism, for nobody has the seeds = none"]
        assert event.why == f"stage staging began; {'; '.join(said)}"
        assert list(status_of(operator).notes) == said
    with (
        Operator(place_in(tmp_path), clock=Clock()) as operator,
        pytest.raises(RolloutError, match="--waive determinism= has no reason; allowed: a text that says why"),
    ):
        operator.start("ann", Start(("determinism",), accepted={"determinism": " "}))


def test_a_reason_is_a_text(tmp_path: Path) -> None:
    with (
        Operator(place_in(tmp_path), clock=Clock()) as operator,
        pytest.raises(RolloutError, match="--accept-slow has no reason; allowed: a text that says why"),
    ):
        operator.start("ann", replace(WAIVED, accepted={"slow": " "}))


@pytest.mark.parametrize("url", [False, True])
def test_a_refused_start_makes_no_store_and_a_dry_run_says_the_same(
    tmp_path: Path, url: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    place_in(tmp_path)
    where = ["--store", f"sqlite:///{tmp_path}/there.db"] if url else []
    for dry in ([], ["--dry-run"]):
        assert run(["rollout", "start", *dry, *where]) == 2
        assert "start is refused: nothing tells how to build" in capsys.readouterr().err
        assert not Path("queue").exists() and not Path("TemporaryQueue").exists() and not Path("there.db").exists()
    assert run(["rollout", "start", "--dry-run", "--waive", "determinism", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == [
        "how long the stages take is not known: no recent decision of this service is in the store"
    ]


def test_provenance_a_source_or_a_builder_tells_how_to_build_cases_again(tmp_path: Path) -> None:
    config = content()
    config["verifier"]["cases"] = "mine:build"
    with open_store(tmp_path / "store.db") as store:
        (unknown,) = objections(tmp_path, store, Start())
        assert unknown.endswith("(--waive determinism)")
        assert objections(tmp_path, store, Start(source={"source": "pdg"})) == []
        assert objections(tmp_path, store, Start(), config) == []
        with store.write() as connection:
            append_provenance(connection, [ProvenanceEvent(BEGAN, "t", "proposed", {}, "t/1")])
        assert objections(tmp_path, store, Start()) == []


def test_an_open_item_of_this_plan_speaks_against_it_until_it_is_closed_or_accepted(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.operator.tell("rollback", "ann", "no appetite")
        again = replace(WAIVED, enable=True)
        with pytest.raises(RolloutError, match=r"verifier-000001 was rolled back with this plan.*--accept-open-item"):
            production.operator.start("ann", again)
        other = content()
        other["verifier"]["adaptive_sampling"]["max_disagreement"] = 0.02
        assert objections(tmp_path, production.store, again, other) == []
        assert production.operator.start("ann", AGAIN).rollout == "verifier-000002"


@pytest.mark.parametrize("count, told", [(197, 2), (198, 0)])
def test_a_stage_is_too_slow_when_its_audits_take_longer_than_its_hold_and_the_deadline(
    tmp_path: Path, count: int, told: int
) -> None:
    # In 2 days 198 decisions: 99 a day, 100.4 in a day and 20 minutes, and half as many of the canary's 50.
    with open_store(tmp_path / "store.db") as store:
        decisions(store, count)
        assert len(objections(tmp_path, store)) == told
        assert objections(tmp_path, store, replace(WAIVED, accepted={"slow": "no hurry"})) == []


def test_a_region_without_traffic_never_ends_its_stage(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store:
        decisions(store, 1_000, region="us")
        (never,) = objections(tmp_path, store)
        assert never == (
            "stage canary needs 50 audits, and at the rate of the last 48 h (0 decisions, 0 audits a day) it never "
            "ends; its hold and rollout.progress_deadline are 24 h 20 min (--accept-slow REASON)"
        )


def test_traffic_that_is_not_known_is_told_and_refuses_nothing(tmp_path: Path) -> None:
    place = place_in(tmp_path, SLOWLY)
    subject = Subject.read(place.config)
    with open_store(tmp_path / "store.db") as store:
        nothing = foresee(place, subject, WAIVED, store, BEGAN)
        assert nothing.notes == (
            "how long the stages take is not known: no recent decision of this service is in the store",
        )
        decisions(store, 1, began=BEGAN - 3_599)
        shortly = foresee(place, subject, WAIVED, store, BEGAN)
        assert shortly.notes == ("how long the stages take is not known: decisions are seen for 59 min 59 s only",)
        assert nothing.objections == shortly.objections == ()
        assert len(foresee(place, subject, WAIVED, store, BEGAN + 1).objections) == 2


@pytest.mark.parametrize("targets, told", [(None, 0), (30, 1), (31, 0)])
def test_a_source_with_too_few_targets_cannot_prove_the_gate_targets(
    tmp_path: Path, targets: int | None, told: int
) -> None:
    assert len(objections(tmp_path, None, replace(WAIVED, targets=targets))) == told
    waived = Start(waived=("determinism", "targets"), targets=targets)
    assert objections(tmp_path, None, waived) == []


def test_a_plan_that_does_not_hold_for_the_draws_seen_is_refused_and_nobody_can_accept_it(
    tmp_path: Path, place: Place
) -> None:
    """Seen: such a rollout started silently, and could never audit anything."""
    plan_id = Subject.read(place_in(tmp_path, SLOWLY).config).plan.id
    with open_store(place) as store:
        decisions(store, 1, "another plan", why_fixed=WhyFixed.UNFIT)
        decisions(store, 1_000, plan_id=plan_id, why_fixed=WhyFixed.NO_WORD)
        assert objections(tmp_path, store) == []
        decisions(store, 60, "callable", plan_id=plan_id, why_fixed=WhyFixed.UNFIT)
        (told,) = objections(tmp_path, store, replace(WAIVED, accepted={"slow": "no hurry", "worst-case": "seen"}))
        assert told == (
            "the plan holds for normal draws; those of 60 of the newest 100 decisions may be any, and take the fixed "
            "arm; allowed: verifier.adaptive_sampling.plan_file with a plan of `suffice plan --use-config --guarded "
            "--save FILE`, or Case(eligible=False)"
        )


def test_traffic_is_that_of_the_service_in_the_last_week_that_can_become_adaptive(place: Place) -> None:
    with open_store(place) as store:
        decisions(store, 3, "eu", BEGAN - DAY)
        decisions(store, 2, "us", BEGAN - 3 * DAY)
        decisions(store, 7, "old", BEGAN - 8 * DAY)
        decisions(store, 7, "never", BEGAN - DAY, why_fixed=WhyFixed.INELIGIBLE)
        Ledger(store).append([replace(ROW, key="a", rollout="verifier-000001", region="eu", at=BEGAN - 2 * DAY)])
        Ledger(store).append([replace(ROW, key="b", rollout="verifier_b-000001", region="eu", at=BEGAN - 4 * DAY)])
        with store.read() as connection:
            traffic = traffic_of(connection, "verifier", BEGAN)
            assert traffic is not None
            assert (dict(traffic.decisions), traffic.seconds) == ({"eu": 4, "us": 2}, 3 * DAY)
            assert traffic_of(connection, "verifier", BEGAN + 30 * DAY) is None
