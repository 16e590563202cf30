"""Rehearsals as a specification: what completes, what each fault comes to, and what the ledger says of both."""

import json
from pathlib import Path
from typing import Any

import pytest
from rehearsing import ROLLOUT, Done, config, corrections, rehearsed, setup

from suffice.config import load
from suffice.errors import DataError, MissingDataError, OutputError, RolloutError
from suffice.flag.client import FlagClient
from suffice.flag.file import published
from suffice.rehearsal.rehearse import Ending, Moment, rehearse
from suffice.rehearsal.setup import Setup
from suffice.rehearsal.summary import summary_of
from suffice.rehearsal.traffic import lasting
from suffice.rollout.phases import Phase
from suffice.rollout.saved_state import plain_result
from suffice.serving.counted import counters_of
from suffice.store.actions import Action
from suffice.store.database import open_store
from suffice.store.ledger import Ledger
from suffice.telemetry.counters import Counter
from suffice.telemetry.metrics_file import read
from suffice.triage.manifest import check
from suffice.verifier.arm import Arm
from suffice.verifier.loop import decide


def test_a_sound_variant_completes(completed: Done) -> None:
    assert (completed.summary["status"], completed.summary["flag"]) == ("completed", "adaptive")
    assert [stage["name"] for stage in completed.summary["stages"]] == ["staging", "canary", "full"]
    assert all(g["outcome"] == "Successful" for stage in completed.summary["stages"][:2] for g in stage["gates"])
    assert completed.summary["failed_gate"] is completed.summary["bundle"] is None
    assert completed.moments[-1].state.phase is Phase.COMPLETED
    actions = [event.action.value for event in completed.events if event.action is not Action.JUDGE]
    assert actions == ["start", "advance", "advance", "complete"]
    assert completed.chains == (True, True)


def test_it_goes_without_what_was_waived(completed: Done) -> None:
    assert completed.setup.waived == ("targets",)
    assert "targets" not in {gate["gate"] for stage in completed.summary["stages"] for gate in stage["gates"]}


def test_a_gate_that_cannot_be_waived_is_named(tmp_path: Path) -> None:
    with pytest.raises(RolloutError, match="gate disagreement cannot be waived; allowed: determinism, targets"):
        rehearse(setup(tmp_path, waived=("disagreement",)))


def test_in_staging_nothing_is_adaptive_and_everything_audited_is_in_the_shadow(completed: Done) -> None:
    staging = completed.stage("staging")
    assert {row.arm for row in staging} == {"fixed"}
    assert {(row.audited, row.shadow) for row in staging} == {(True, True)}


def test_outside_audits_an_adaptive_decision_takes_what_its_plan_says(completed: Done) -> None:
    by_key = {c.key: c for c in completed.setup.corrections}
    plan = completed.setup.plan
    seen = {True: 0, False: 0}
    for row in completed.rows:
        if row.arm == "adaptive":
            case = by_key[lasting(row.key)].case()
            alone = decide(type(case)(row.key, row.target, case.sampler, None, case.direction), plan, row.seed)
            assert (row.decision, row.n) == (alone.decision, alone.n)
            seen[row.audited] += 1
    assert min(seen.values()) > 50


def test_arm_and_audit_follow_the_lasting_target_within_a_stage(completed: Done) -> None:
    for name in ("canary", "full"):
        for field in ("arm", "audited", "region"):
            by_target: dict[str, set[Any]] = {}
            for row in completed.stage(name):
                if field != "audited" or row.arm == "adaptive":
                    by_target.setdefault(row.target, set()).add(getattr(row, field))
            assert {len(values) for values in by_target.values()} == {1}
    assert {row.region for row in completed.stage("canary") if row.arm == "adaptive"} == {"eu-west-1"}


def test_the_evidence_of_a_stage_is_its_own(completed: Done) -> None:
    for stage in completed.summary["stages"]:
        rows = completed.stage(stage["name"])
        audits = [row for row in rows if row.audited]
        assert stage["decisions"] == len(rows)
        assert stage["audits"] == len(audits)
        assert stage["disagreements"] == sum(row.baseline_decision != row.adaptive_decision for row in audits)
        taken = [row.adaptive_n or row.n for row in rows if row.shadow or row.arm == "adaptive"]
        assert stage["sample_reduction"] == pytest.approx(1 - sum(taken) / (64 * len(taken)))
    first, second, _ = completed.summary["stages"]
    assert first["audits"] >= 100
    assert second["audits"] >= 100


def test_the_numbers_of_the_summary_are_those_of_the_store(completed: Done) -> None:
    summary = completed.summary
    outcomes = [row.outcome for row in completed.resolved]
    for name in ("committed", "rolled_back", "skipped", "unchanged", "stale"):
        assert summary[name] == outcomes.count(name)
    assert summary["arrivals"] == len(outcomes)
    assert summary["draws"] == sum(row.n for row in completed.rows)
    assert summary["decisions"] == len(completed.rows) == sum(row.decision is not None for row in completed.resolved)
    counts = read(completed.setup.file("metrics.json")).counts
    counted = counters_of(completed.rows)
    counted.add(Counter.ROLLBACKS, summary["rolled_back"])
    counted.add(Counter.ESCALATIONS, summary["escalations"])
    assert counts == counted.snapshot()
    assert summary["escalations"] > 0


def test_every_cycle_is_in_the_history(completed: Done) -> None:
    rows, judged = completed.ending.history, [event for event in completed.events if event.action is Action.JUDGE]
    assert [(row["at"], row["gates"]) for row in rows] == [(event.at, event.numbers["gates"]) for event in judged]
    for row, moment in zip(rows, completed.moments, strict=True):
        assert (row["phase"], row["weight"]) == (moment.state.phase.value, moment.state.weight)
        assert row["gates"] == [plain_result(result) for result in moment.results]
        assert row["day"] == moment.day
    decisions = [moment.decisions for moment in completed.moments]
    assert decisions == sorted(decisions)
    assert {row["stage"]: row["gates"] for row in rows} == {s["name"]: s["gates"] for s in completed.summary["stages"]}


def test_after_the_receipt_no_decision_is_adaptive(rolled_back: Done) -> None:
    done = rolled_back
    assert done.summary["status"] == "rolled_back"
    assert done.summary["failed_gate"] == "disagreement"
    assert done.summary["receipt"]["asked"] == done.summary["receipt"]["fixed"] > 0
    assert done.ending.state.last_cycle is not None
    later = [row for row in done.rows if row.at > done.ending.state.last_cycle]
    assert later
    assert {row.arm for row in later} == {"fixed"}
    assert done.summary["adaptive_after_receipt"] == 0
    assert "adaptive" in {row.arm for row in done.rows}


def test_a_rollback_leaves_flag_and_configuration_at_the_baseline(rolled_back: Done) -> None:
    prepared = rolled_back.setup
    assert published(prepared.file("flag.json")) is None
    with FlagClient.from_file(prepared.file("flag.json")) as flag:
        answers = [flag.ask(c.target, region) for c in prepared.corrections[:50] for region in prepared.regions]
    assert {(answer.arm, answer.resolved) for answer in answers} == {(Arm.FIXED, True)}
    assert load(prepared.file("config.json")).verifier.adaptive_sampling.enabled is False


def test_a_rollback_is_settled_once(rolled_back: Done) -> None:
    actions = [event.action.value for event in rolled_back.events if event.action is not Action.JUDGE]
    assert actions == ["start", "advance", "roll back", "observed", "receipt", "triage", "settle"]
    assert rolled_back.summary["bundle"] == str(rolled_back.setup.bundles[0])
    assert check(rolled_back.setup.bundles[0]) == 15
    name = rolled_back.setup.bundles[0].name
    kept = sorted(path.name for path in (rolled_back.setup.directory / "triage").iterdir())
    assert kept == [name, f"{name}.journal-head"]


@pytest.mark.parametrize(
    ("fault", "failed", "fallbacks"),
    [
        ("canary:biased-sampler", {"disagreement"}, False),
        ("canary:nan", {"disagreement", "health"}, True),
        ("canary:storm", {"disagreement"}, False),
        ("staging:margin", {"disagreement"}, False),
        ("staging:nan", {"disagreement"}, False),
    ],
)
def test_a_faulty_variant_is_put_back(tmp_path: Path, fault: str, failed: set[str], fallbacks: bool) -> None:
    done = Done(setup(tmp_path, fault))
    assert (done.summary["status"], done.summary["flag"]) == ("rolled_back", "fixed")
    assert failed <= {gate["gate"] for gate in done.summary["failed_gates"]}
    assert done.summary["adaptive_after_receipt"] == 0
    assert done.ending.state.current.name == fault.partition(":")[0]
    assert check(Path(done.summary["bundle"])) > 0
    assert (done.summary["stages"][-1]["fallbacks"] > 0) is fallbacks
    if fallbacks:
        assert all(row.decision == row.baseline_decision for row in done.rows if row.reason == "FALLBACK")


@pytest.mark.parametrize("stage", ["staging", "canary"])
def test_without_metrics_the_rollout_pauses_and_is_never_promoted(tmp_path: Path, stage: str) -> None:
    done = Done(setup(tmp_path, f"{stage}:no-metrics"))
    assert (done.summary["status"], done.summary["failed_gate"]) == ("paused", None)
    assert done.ending.state.current.name == stage
    assert "5 errors in a row, allowed 4: disagreement: audits: not measured" in done.summary["why"]
    assert done.summary["stages"][-1]["name"] == stage


@pytest.mark.campaign
def test_paired_means_complete_and_their_margin_is_put_back(tmp_path: Path) -> None:
    means = config("paired_mean")
    assert Done(setup(tmp_path / "sound", chosen=means)).summary["status"] == "completed"
    faulty = Done(setup(tmp_path / "faulty", "canary:margin", means))
    assert (faulty.summary["status"], faulty.summary["failed_gate"]) == ("rolled_back", "disagreement")


def test_the_margin_as_the_configured_method_does_not_even_leave_staging(tmp_path: Path) -> None:
    done = Done(setup(tmp_path, chosen=config(method="margin")))
    assert (done.summary["status"], done.summary["failed_gate"]) == ("rolled_back", "disagreement")
    assert done.ending.state.current.name == "staging"


def test_a_fixed_plan_saves_nothing_and_is_refused_as_production_refuses_it(tmp_path: Path) -> None:
    prepared = setup(tmp_path, chosen=config(method="fixed"))
    with pytest.raises(RolloutError, match=r"the last stage, .*, can save 0 % of the draws; allowed: at least 30 %"):
        rehearse(prepared)
    with open_store(prepared.file("store.db")) as store:
        assert Ledger(store).rows(ROLLOUT) == []


def test_too_few_corrections_pause_and_are_never_promoted(tmp_path: Path) -> None:
    done = Done(setup(tmp_path, corrections=corrections(8)))
    assert done.summary["status"] == "paused"
    assert "arrived 14 times, which proved too little" in done.summary["why"]
    assert {row.arm for row in done.rows} == {"fixed"}


def test_no_corrections_are_refused(tmp_path: Path) -> None:
    prepared = setup(tmp_path)
    with pytest.raises(MissingDataError, match="small: has no corrections"):
        rehearse(Setup(prepared.config, prepared.plan, (), "small", prepared.directory))
    assert not prepared.directory.exists()


def test_two_rehearsals_do_not_share_a_folder(tmp_path: Path) -> None:
    prepared = setup(tmp_path)
    refused: list[str] = []

    def second(_: Moment) -> None:
        if not refused:
            with pytest.raises(OutputError, match="another rehearsal is at work here") as refusal:
                rehearse(prepared)
            refused.append(str(refusal.value))
        raise KeyboardInterrupt

    assert rehearse(setup(tmp_path), seen=second).status == "interrupted"
    assert refused


def stopped_after(prepared: Setup, cycles: int, *, go_on: bool = False) -> Ending:
    """A rehearsal that a person interrupts."""
    left = iter(range(cycles))

    def interrupt(_: Moment) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    return rehearse(prepared, go_on=go_on, seen=interrupt)


def test_an_interrupted_rehearsal_tells_what_is_known_and_goes_on(tmp_path: Path, completed: Done) -> None:
    prepared = setup(tmp_path)
    for cycles in (0, 3, 9):
        ending = stopped_after(prepared, cycles, go_on=cycles > 0)
        summary = summary_of(prepared, ending)
        assert summary["status"] == "interrupted"
        assert summary["decisions"] > 0
        json.dumps(summary, allow_nan=False)
    ending = rehearse(prepared, go_on=True)
    assert summary_of(prepared, ending) == completed.summary
    assert ending.history == completed.ending.history


def test_a_rehearsal_that_has_ended_says_so_again(completed: Done, rolled_back: Done) -> None:
    for done in (completed, rolled_back):
        assert summary_of(done.setup, rehearse(done.setup, go_on=True)) == done.summary


@pytest.mark.parametrize("changed", ["config", "fault", "corrections", "storms", "nothing there"])
def test_going_on_with_something_else_is_refused(tmp_path: Path, changed: str) -> None:
    if changed != "nothing there":
        stopped_after(setup(tmp_path), 1)
    other = corrections()
    swapped = [other[1], other[0], *other[2:]]
    storms = config().model_copy(
        update={
            "error_resolution": config().error_resolution.model_validate({"rollback_storm_policy": {"enabled": False}})
        }
    )
    summary = {
        "config": setup(tmp_path, chosen=config(seed=2)),
        "fault": setup(tmp_path, "canary:nan"),
        "corrections": setup(tmp_path, corrections=swapped),
        "storms": setup(tmp_path, chosen=storms),
        "nothing there": setup(tmp_path),
    }[changed]
    with pytest.raises(DataError, match="no rehearsal to go on with" if "there" in changed else "something else"):
        rehearse(summary, go_on=True)


def test_beginning_anew_takes_nothing_of_what_was_there(tmp_path: Path) -> None:
    expected = Done(setup(tmp_path / "fresh", "staging:margin"))
    first = Done(setup(tmp_path, "staging:nan"))
    bundle = Path(first.summary["bundle"])
    again = Done(setup(tmp_path, "staging:margin"))
    assert again.rows == expected.rows
    assert check(bundle) > 0
    assert again.summary["bundle"] != str(bundle)
    (Path(again.summary["bundle"]) / "TRIAGE.md").write_text("old", encoding="utf-8")
    _, summary = rehearsed(setup(tmp_path, "staging:margin"))
    assert summary == again.summary
    assert check(Path(summary["bundle"])) > 0
