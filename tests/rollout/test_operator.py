"""A rollout in production: it advances on proof, rolls back with a receipt, and nothing that breaks advances it."""

import json
import shlex
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from production import (
    BEGAN,
    CYCLE,
    STAGES,
    WAIVED,
    Clock,
    Production,
    again,
    content,
    corrections,
    edit,
    place_in,
    producing,
    situation_in,
)

import suffice
from suffice.cli.main import run
from suffice.errors import ConfigError, ExitCode, MissingDataError, PlanError, RolloutError, SufficeError
from suffice.flag.client import FlagClient
from suffice.flag.document import Exposure
from suffice.flag.file import publish, published
from suffice.flag.lowering import ASKED_FILE
from suffice.rollout import baseline, settle
from suffice.rollout.controller import PublishStage
from suffice.rollout.operator import Operator, Start
from suffice.rollout.phases import Phase
from suffice.rollout.world import Place
from suffice.serving.verifier import Verifier
from suffice.sources.correction import Correction, Estimate
from suffice.store.decision_row import plain_row
from suffice.store.journal import verify_journal
from suffice.store.ledger import Ledger
from suffice.store.rollouts import last_publication, note_publication
from suffice.store.signs import note_sign
from suffice.store.triage import items, receipt_of
from suffice.triage.manifest import check
from suffice.triage.reproduce import reproduce
from suffice.verifier.arm import Arm


def test_a_rollout_advances_on_proof_from_the_shadow_to_everybody(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        assert published(made.place.flag) is None
        made.until("canary")
        assert published(made.place.flag) == Exposure(50, "verifier-000001", ("eu",))
        made.until("full")
        made.traffic()
        assert made.cycle().phase is Phase.COMPLETED
        assert made.actions() == ["start", "advance", "advance", "complete"]
        shadow = Ledger(made.store).rows("verifier-000001", "staging")
        assert {(row.arm, row.is_audit) for row in shadow} == {(Arm.FIXED, True)}
        with made.store.read() as connection:
            assert verify_journal(connection).intact


def test_time_exposure_and_proof_are_all_needed(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.traffic(300)
        assert "held 600 of 1200 s" in made.cycle().why
        assert made.cycle().current.name == "canary"
        made.cycle(), made.cycle()
        assert made.state.why == "0 of 50 audits"


@pytest.mark.parametrize(("reaction", "phase"), [("hold", Phase.PROGRESSING), ("fail", Phase.ROLLED_BACK)])
def test_silence_holds_or_rolls_back_as_configured(tmp_path: Path, reaction: str, phase: Phase) -> None:
    health = {"silence": reaction, "max_silence": "15m"}
    with producing(tmp_path, content(health=health)) as made:
        made.until("canary")
        made.traffic(20)
        assert made.cycle().phase is Phase.PROGRESSING
        assert made.cycle().phase is phase
        assert made.judged("health")["outcome"] == ("Inconclusive" if reaction == "hold" else "Failed")
        assert made.judged("health")["sentence"].startswith("no decision for 1,200 s (limit 900 s)")


def test_production_that_gives_no_sign_of_life_is_an_error_and_one_without_traffic_is_not(tmp_path: Path) -> None:
    health = {"max_age": "15m", "max_silence": "30d"}
    with producing(tmp_path, content(health=health)) as made:
        assert made.cycle().held == CYCLE
        made.cycle()
        assert made.state.why.startswith("error 1 of at most 4 in a row: no sign of life of production for 1,200 s (")
        assert made.state.held == CYCLE
        made.traffic()
        made.cycle()
        assert (made.state.errors, made.state.current.name) == (0, "canary")
        with made.store.write() as connection:
            note_sign(connection, "another", made.clock() + CYCLE)
        made.cycle(1_000)
        assert "no sign of life of production for 1,600 s" in made.state.why
        # A process that decides nothing, but lives.
        with made.store.write() as connection:
            note_sign(connection, "verifier", made.clock() + CYCLE)
        assert made.cycle().errors == 0
        assert "no sign of life" not in made.judged("health")["sentence"]


def test_every_process_from_a_configuration_gives_signs_of_life(tmp_path: Path) -> None:
    with producing(tmp_path, clock=Clock(time.time())) as made:
        with Verifier.from_config(made.place.config, queue=made.place.queue):
            pass
        # The first sign is given at once, and the end waits for it.
        made.clock.now = time.time() + 3_000
        assert made.cycle(0).errors == 0
        made.clock.now += 700
        assert "no sign of life" in made.cycle(0).why


def test_decisions_are_recomputed_in_a_fresh_process_from_a_source(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    clock = Clock()
    with Operator(place, clock=clock, corrections=lambda _: corrections(0, 500)) as operator:
        operator.start("ann", Start(source={"source": "these"}))
        made = Production(operator, clock, operator.flag)
        made.traffic()
        made.cycle()
        found = made.judged("determinism")
        assert (found["outcome"], found["numbers"]["recomputed"]) == ("Successful", 20)
        with made.store.write() as connection:
            connection.exec_driver_sql("UPDATE decisions SET adaptive_n = adaptive_n + 1")
    with Operator(place, clock=clock, corrections=lambda _: corrections(0, 500)) as operator:
        clock.now += CYCLE
        report = operator.cycle()
        assert report.phase is Phase.ROLLED_BACK
        assert "20 of 20 decisions recomputed in a fresh process differ" in report.why


def test_without_anything_to_recompute_from_the_stage_does_not_end(tmp_path: Path) -> None:
    with producing(tmp_path, begin=Start()) as made:
        for _ in range(4):
            made.traffic()
            made.cycle()
        assert made.state.current.name == "staging"
        assert made.judged("determinism")["outcome"] == "Error"


def roll_back(made: Production) -> None:
    made.until("canary")
    made.traffic()
    made.disagreements(60, "canary")
    made.cycle()


def test_a_failed_gate_rolls_back_with_a_receipt_and_everything_that_follows(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        before = made.place.config.read_text(encoding="utf-8")
        roll_back(made)
        assert made.state.phase is Phase.ROLLED_BACK
        assert "60 of" in made.state.why and "limit 10 %" in made.state.why
        assert published(made.place.flag) is None
        assert not any(made.flag.ask(f"t{i}", "eu").arm == "adaptive" for i in range(100))
        assert made.place.config.read_text(encoding="utf-8") == before.replace('"enabled": true', '"enabled": false')
        with made.store.read() as connection:
            receipt, (item,) = receipt_of(connection, "verifier-000001"), items(connection)
        assert receipt is not None
        assert receipt.asked == receipt.fixed > 0
        bundle = Path(item.bundle)
        assert check(bundle) == 13
        assert "not ours" not in "".join(path.read_text(encoding="utf-8") for path in bundle.iterdir())
        rows = [json.loads(line) for line in (bundle / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]
        assert sum(row["agrees"] is False for row in rows) == 60
        made.traffic()
        assert Ledger(made.store).adaptive_after("verifier-000001", receipt.at) == 0
        ordered = ["roll back", "observed", "receipt", "triage", "settle"]
        assert made.actions()[-5:] == ordered
        made.cycle()
        assert made.actions()[-5:] == ordered


def test_a_rollback_by_hand_is_possible_in_every_phase_that_is_not_back_already(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.operator.tell("pause", "ann", "lunch")
        assert made.operator.tell("rollback", "ann", "no appetite").phase is Phase.ROLLED_BACK
        assert made.operator.tell("rollback", "ann", "again").why == "no appetite"
        assert made.actions().count("roll back") == 1


def test_a_step_that_fails_after_the_receipt_is_done_later_and_nothing_twice(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        good = made.place.config.read_text(encoding="utf-8")
        made.place.config.write_text("{", encoding="utf-8")
        with pytest.raises(RolloutError, match=r"observed, but not settled: .*config.json: line 1"):
            made.operator.tell("rollback", "ann", "why not")
        with made.store.read() as connection:
            assert receipt_of(connection, "verifier-000001") is not None
        with pytest.raises(RolloutError, match="not settled"):
            again(made).operator.cycle()
        made.place.config.write_text(good, encoding="utf-8")
        with pytest.raises(RolloutError, match="rollback of verifier-000001 is not settled"):
            made.operator.start("ann", WAIVED)
        again(made).operator.cycle()
        assert made.actions()[-5:] == ["roll back", "observed", "receipt", "triage", "settle"]
        assert '"enabled": false' in made.place.config.read_text(encoding="utf-8")


def test_a_new_rollout_starts_from_the_first_stage_with_no_old_evidence(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        roll_back(made)
        with pytest.raises(RolloutError, match="enabled is false"):
            made.operator.start("ann", WAIVED)
        report = made.operator.start("ann", Start(waived=("determinism",), enable=True))
        assert (report.rollout, report.stage) == ("verifier-000002", "staging")
        made.cycle()
        assert made.judged("disagreement")["numbers"]["audits"] == 0


def test_a_start_is_refused_with_the_reason_and_stores_nothing(tmp_path: Path) -> None:
    last = {"name": "full", "weight": 100, "audit_fraction": 0.9}
    refused: list[tuple[dict[str, object], Start, type[SufficeError], str]] = [
        (content(stages=[*STAGES[:2], last]), WAIVED, RolloutError, "the last stage, with audits of 90 %"),
        (content(stages=[]), WAIVED, ConfigError, "a list of at least one stage"),
        (content(), Start(waived=("disagreement",)), RolloutError, "disagreement cannot be waived"),
    ]
    for config, begin, error, sentence in refused:
        with producing(tmp_path, config, begin=None) as made:
            with pytest.raises(error, match=sentence):
                made.operator.start("ann", begin)
            assert made.operator.newest is None
            assert not made.place.flag.exists()
    with producing(tmp_path, begin=None) as made:
        edit(made.place, adaptive_sampling={"enabled": True, "plan_file": "none.json"})
        with pytest.raises(PlanError, match=r"none\.json"):
            made.operator.start("ann", WAIVED)


def test_one_rollout_is_active_at_a_time_and_one_service_has_the_flag(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        with pytest.raises(RolloutError, match=r"verifier-000001 is Progressing; possible: pause, advance, rollback$"):
            made.operator.start("bob", WAIVED)
        other = Place(made.place.config, made.place.queue, "other")
        with Operator(other, clock=made.clock) as operator, pytest.raises(RolloutError, match="whose flag this is"):
            operator.start("bob", WAIVED)


def test_illegal_commands_name_the_legal_ones_and_change_nothing(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        version = made.operator.current.version
        for command in ("resume", "approve"):
            with pytest.raises(
                RolloutError, match=f"{command} is not possible while Progressing; possible: pause, adv"
            ):
                made.operator.tell(command, "ann")
        with pytest.raises(RolloutError, match=r"staging is not over: held 0 of 1200 s; advance skips no proof"):
            made.operator.advance("ann", dry_run=True)
        assert made.operator.current.version == version


def test_a_stage_that_needs_approval_waits_for_it(tmp_path: Path) -> None:
    with producing(tmp_path, content(stages=[{**STAGES[0], "approval": True}, *STAGES[1:]])) as made:
        made.traffic()
        made.cycle(), made.cycle()
        assert (made.state.phase, made.state.why) == (Phase.PAUSED, "stage staging has passed and waits for approval")
        with pytest.raises(RolloutError, match="resume is not possible while Paused; possible: approve, rollback"):
            made.operator.tell("resume", "ann")
        made.operator.tell("approve", "ann")
        assert made.cycle().current.name == "canary"


def test_a_dry_run_says_what_would_follow_and_does_nothing(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.traffic()
        made.cycle()
        made.clock.now += CYCLE
        before = (made.operator.current, made.operator.history(), made.place.flag.stat().st_mtime_ns)
        report = made.operator.cycle(dry_run=True)
        assert "publish stage canary: 50 % adaptive in eu" in report.commands
        foreseen = made.operator.tell("rollback", "ann", "x", dry_run=True).commands
        assert foreseen[0].startswith("publish the baseline")
        assert (made.operator.current, made.operator.history(), made.place.flag.stat().st_mtime_ns) == before


def test_clock_jumps_advance_nothing_and_say_so(tmp_path: Path) -> None:
    with producing(tmp_path, content(stages=[{**STAGES[0], "hold": "2d"}, *STAGES[1:]])) as made:
        made.traffic()
        made.cycle()
        for jump in (-5 * 86_400, 30 * 86_400):
            made.clock.now += jump
            made.traffic(5)
            made.cycle(0)
            assert made.state.held == 600 + (2 * CYCLE if jump > 0 else 0)
        assert made.state.current.name == "staging"
        back, on = made.said
        assert back == "the clock is 432,000 s behind that of the last cycle; nothing is credited until it is past it"
        assert on == "2,160,000 s since the last cycle; at most 1,200 s are credited"


def test_targets_that_move_to_other_buckets_are_an_error_in_every_cycle_and_then_a_pause(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        about = json.loads(json.dumps(made.operator.current.config))
        first = next(iter(about["sample"]["buckets"]))
        # As an upgrade of the evaluator would have it: the recorded bucket is not the one that it gives now.
        about["sample"]["buckets"][first] = (about["sample"]["buckets"][first] + 1) % 100
        with made.store.write() as connection:
            connection.exec_driver_sql("UPDATE rollouts SET config = ?", (json.dumps(about),))
        fresh = again(made)
        fresh.traffic(300)
        for number in range(1, 5):
            why = fresh.cycle().why
            assert f"error {number} of at most 4" in why
            assert f"1 of 20 recorded targets have moved to another bucket (limit 0), the first is {first}" in why
        assert (fresh.cycle().phase, fresh.state.current.name) == (Phase.PAUSED, "staging")
        assert fresh.actions() == ["start", "pause"]


def test_a_guardrail_that_fails_while_a_person_paused_rolls_back(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.until("canary")
        made.operator.tell("pause", "ann", "lunch")
        made.traffic()
        assert made.cycle().phase is Phase.PAUSED
        made.disagreements(60, "canary")
        assert made.cycle().phase is Phase.ROLLED_BACK
        assert "60 of" in made.state.why


@pytest.mark.parametrize("jump", [-5 * 86_400, 30 * 86_400])
def test_a_clock_that_jumps_for_the_runner_alone_knows_of_no_sign_of_life_and_credits_nothing(
    tmp_path: Path, jump: float
) -> None:
    with producing(tmp_path) as made:
        made.traffic(300)
        made.cycle()
        state = made.cycle(jump)
        assert (state.current.name, state.held) == ("staging", CYCLE)
        assert "error 1 of at most 4 in a row: no sign of life of production for" in state.why


@pytest.mark.parametrize("shift", ["2026-03-29T00:50:00", "2026-10-25T00:50:00"])
def test_a_change_to_or_from_daylight_saving_time_is_no_jump(
    tmp_path: Path, shift: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        began = datetime.fromisoformat(shift).replace(tzinfo=UTC).timestamp()
        with producing(tmp_path, clock=Clock(began)) as made:
            offsets = {time.localtime(began).tm_gmtoff, time.localtime(began + 2 * CYCLE).tm_gmtoff}
            assert offsets == {3600, 7200}
            made.cycle(), made.cycle()
            assert (made.state.held, made.said) == (2 * CYCLE, [])
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_flag_file_that_is_deleted_truncated_or_edited_is_published_again_and_advances_nothing(
    tmp_path: Path,
) -> None:
    with producing(tmp_path) as made:
        made.until("canary")
        made.traffic()
        made.cycle()
        wanted = published(made.place.flag)
        for harm, sentence in (
            (lambda flag: flag.unlink(), "there is no flag file"),
            (lambda flag: flag.write_bytes(flag.read_bytes()[:40]), "not JSON"),
            (lambda flag: publish(flag, Exposure(100, "verifier-000001")), "says 100 % adaptive in all regions"),
        ):
            harm(made.place.flag)
            state = made.cycle()
            assert state.current.name == "canary"
            assert "error 1 of at most 4" in state.why
            assert sentence in state.why and "published again" in state.why
            assert published(made.place.flag) == wanted
            # A resume sets the count of errors back.
            made.operator.tell("pause", "ann")
            made.operator.tell("resume", "ann")


def test_a_read_only_flag_file_is_replaced_and_one_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.place.flag.chmod(0o444)
        made.until("canary")
        assert published(made.place.flag) == Exposure(50, "verifier-000001", ("eu",))
        made.place.flag.unlink()
        made.place.flag.mkdir()
        made.traffic()
        for number in range(1, 5):
            state = made.cycle()
            assert f"error {number} of at most 4" in state.why
            assert "cannot be published again" in state.why
        assert (made.cycle().phase, made.state.current.name) == (Phase.PAUSED, "canary")
        report = made.operator.tell("rollback", "ann", "flag")
        assert report.phase is made.state.phase is Phase.ROLLING_BACK
        (note,) = report.notes
        assert "the baseline cannot be published" in note and "cannot be written" in note
        assert made.actions()[-2:] == ["roll back", "not observed"]
        with made.store.read() as connection:
            assert receipt_of(connection, "verifier-000001") is None
        assert '"enabled": true' in made.place.config.read_text(encoding="utf-8")
        made.place.flag.rmdir()
        assert made.cycle().phase is Phase.ROLLED_BACK


def test_a_ledger_that_cannot_be_read_is_an_error_and_then_a_pause(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.traffic()
        made.cycle()
        with made.store.write() as connection:
            connection.exec_driver_sql("ALTER TABLE decisions RENAME TO elsewhere")
        for number in range(1, 5):
            assert f"error {number} of at most 4 in a row: audits: not measured" in made.cycle().why
        assert (made.cycle().phase, made.state.current.name) == (Phase.PAUSED, "staging")
        assert "no such table" in made.said[-1]


def test_nan_in_the_numbers_is_an_error(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.traffic()
        made.cycle()
        made.traffic()
        newest = "WHERE id = (SELECT max(id) FROM decisions)"
        with made.store.write() as connection:
            connection.exec_driver_sql(f"UPDATE decisions SET adaptive_n = 'NaN' {newest}")
        state = again(made).cycle()
        assert state.current.name == "staging"
        assert "not measured" in state.why
        with made.store.write() as connection:
            connection.exec_driver_sql(f"UPDATE decisions SET adaptive_n = 8 {newest}")
        assert made.cycle().current.name == "canary"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"adaptive_sampling": {"enabled": True, "max_disagreement": 0.02}}, "max_disagreement is 0.02"),
        ({"adaptive_sampling": {"enabled": False, "max_disagreement": 0.01}}, "enabled is false"),
    ],
)
def test_a_configuration_that_is_edited_in_mid_rollout_pauses_it(
    tmp_path: Path, change: dict[str, object], sentence: str
) -> None:
    with producing(tmp_path) as made:
        made.traffic(300)
        made.cycle()
        good = made.place.config.read_text(encoding="utf-8")
        edit(made.place, **change)
        state = made.cycle()
        assert (state.phase, state.current.name) == (Phase.PAUSED, "staging")
        assert sentence in state.why and "a changed plan or configuration is a new rollout" in state.why
        with pytest.raises(RolloutError, match="resume is refused"):
            made.operator.tell("resume", "ann")
        made.place.config.write_text(good, encoding="utf-8")
        made.operator.tell("resume", "ann")
        assert made.cycle().current.name == "canary"


def test_what_the_host_application_changes_in_its_own_sections_is_no_change(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        text = made.place.config.read_text(encoding="utf-8").replace("not ours", "still not ours")
        made.place.config.write_text(text, encoding="utf-8")
        assert made.cycle().phase is Phase.PROGRESSING


def test_a_key_that_the_version_which_started_the_rollout_did_not_have_is_no_change(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        about = json.loads(json.dumps(made.operator.current.config))
        del about["config"]["rollout"]["health"]
        with made.store.write() as connection:
            connection.exec_driver_sql("UPDATE rollouts SET config = ?", (json.dumps(about),))
        fresh = again(made)
        assert fresh.cycle().phase is Phase.PROGRESSING
        config = json.loads(made.place.config.read_text(encoding="utf-8"))
        config["rollout"]["health"] = {"silence": "fail"}
        made.place.config.write_text(json.dumps(config), encoding="utf-8")
        assert 'rollout.health.silence is "fail", the rollout was started with "hold"' in fresh.cycle().why


def test_a_configuration_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.traffic(300)
        made.cycle()
        made.place.config.write_text("{", encoding="utf-8")
        state = made.cycle()
        assert (state.phase, state.current.name) == (Phase.PROGRESSING, "staging")
        assert "error 1 of at most 4" in state.why and "config.json" in state.why


def test_a_plan_file_that_is_swapped_pauses_and_one_that_is_broken_is_an_error(tmp_path: Path) -> None:
    rule = suffice.Proportion(at_least=0.8)
    plan = tmp_path / "plan.json"
    suffice.plan(rule, n=32, max_disagreement=0.01).save(plan)
    config = content()
    config["verifier"]["adaptive_sampling"]["plan_file"] = "plan.json"
    with producing(tmp_path, config) as made:
        made.traffic(300)
        made.cycle()
        good = plan.read_text(encoding="utf-8")
        plan.write_text(good.replace('"method": "optimal"', '"method": "better"'), encoding="utf-8")
        assert "it was edited or damaged" in made.cycle().why
        suffice.plan(rule, n=32, max_disagreement=0.05).save(plan)
        state = made.cycle()
        assert (state.phase, state.current.name) == (Phase.PAUSED, "staging")
        assert "the plan is" in state.why


@pytest.mark.parametrize("stage", ["canary", "completed"])
def test_a_process_that_restarts_with_another_plan_decides_fixed_until_a_rollout_has_proven_it(
    tmp_path: Path, stage: str
) -> None:
    with producing(tmp_path) as made:
        made.until("canary")
        if stage == "completed":
            made.until("full")
            made.traffic()
            assert made.cycle().phase is Phase.COMPLETED
        exposed = [it for it in corrections(10_000, 200) if made.flag.ask(it.target, it.region).arm == "adaptive"]
        assert len(exposed) > 20
        assert restarted(made, exposed) == {"adaptive"}
        edit(made.place, adaptive_sampling={"enabled": True, "max_disagreement": 0.02})
        for _ in range(2):
            assert restarted(made, exposed) == {"fixed"}
            made.cycle()
        judged = made.judged("plan")
        assert judged["outcome"] == "Error" and "restart those processes" in judged["sentence"]


def restarted(made: Production, cases: list[Correction]) -> set[str]:
    """The arms of these cases in a process that starts now; each case is decided once only."""
    with Verifier.from_config(made.place.config, queue=made.place.queue, clock=made.clock) as verifier:
        made.sent += 1
        return {verifier.verify(replace(it, key=f"{it.key}/{made.sent}").case()).arm.value for it in cases}


def test_decisions_of_another_plan_prove_nothing(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.traffic(300)
        with made.store.write() as connection:
            connection.exec_driver_sql("UPDATE decisions SET plan_id = 'older' WHERE id > 290")
        made.cycle(), made.cycle()
        assert made.state.current.name == "staging"
        assert "10 of 300 decisions were made with another plan" in made.state.why


def delete_rollout(made: Production, rollout: str = "verifier-000001") -> None:
    with made.store.write() as connection:
        connection.exec_driver_sql("DELETE FROM rollouts WHERE id = ?", (rollout,))


def test_a_deleted_rollout_is_a_rollback(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.until("canary")
        made.traffic()
        made.cycle(0)
        delete_rollout(made)
        with pytest.raises(RolloutError, match="the rollback of verifier-000001 is not settled"):
            made.operator.start("ann", WAIVED)
        report = made.operator.cycle()
        assert (report.rollout, report.phase) == ("verifier-000001", Phase.ROLLED_BACK)
        assert (report.why, report.possible) == ("the rollout was deleted from the store", ("start",))
        assert "50 % adaptive in eu" in report.notes[0]
        assert report.notes[0].endswith("there is no rollout, so the baseline was published, and observed")
        assert published(made.place.flag) is None
        assert '"enabled": false' in made.place.config.read_text(encoding="utf-8")
        with pytest.raises(MissingDataError, match="there is no rollout of service verifier; possible: start"):
            made.operator.cycle()
        assert made.actions() == ["start", "advance", "roll back", "receipt", "triage", "settle"]
        with made.store.read() as connection:
            receipt, (item,) = receipt_of(connection, "verifier-000001"), items(connection)
        # Of 20 targets in no region and in the one that the stages name.
        assert receipt is not None and receipt.asked == receipt.fixed == 40
        assert (item.stage, item.reason) == ("canary", "the rollout was deleted from the store")
        assert check(Path(item.bundle)) == 10
        rows = (Path(item.bundle) / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(rows) == len(Ledger(made.store).rows("verifier-000001", "canary")) > 0


def test_an_id_is_not_given_again_so_that_a_deleted_rollout_is_no_evidence_of_the_next(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.until("canary")
        delete_rollout(made)
        assert made.operator.cycle().phase is Phase.ROLLED_BACK
        again_ = made.operator.start("ann", Start(waived=("determinism",), enable=True))
        assert again_.rollout == "verifier-000002"
        made.cycle()
        assert made.judged("disagreement")["numbers"]["audits"] == 0
        made.operator.tell("rollback", "ann", "enough")
        assert made.actions()[-4:] == ["observed", "receipt", "triage", "settle"]


def test_a_completed_rollout_does_not_come_back_when_the_one_after_it_is_deleted(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.until("full")
        made.traffic()
        assert made.cycle().phase is Phase.COMPLETED
        made.operator.start("ann", WAIVED)
        made.until("canary")
        delete_rollout(made, "verifier-000002")
        fresh = again(made)
        assert fresh.operator.tell("rollback", "ann", "where is it?").phase is Phase.ROLLED_BACK
        for command in (fresh.operator.cycle, lambda: fresh.operator.tell("rollback", "ann", "and now?")):
            with pytest.raises(MissingDataError, match="there is no rollout"):
                command()
        assert published(made.place.flag) is None


def test_a_deleted_rollout_is_settled_by_whoever_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with producing(tmp_path) as made:
        made.until("canary")
        delete_rollout(made)
        steps = (
            (baseline, "observe"),
            (baseline, "add_receipt"),
            *((settle, it) for it in ("set_enabled", "freeze_rollback", "open_item")),
        )
        for module, step in steps:
            with monkeypatch.context() as patched:
                patched.setattr(module, step, killed)
                with pytest.raises(KeyboardInterrupt):
                    again(made).operator.cycle()
        assert "published, and observed" in again(made).operator.cycle().notes[0]
        assert made.actions() == ["start", "advance", "roll back", "receipt", "triage", "settle"]
        assert sorted(path.name for path in (made.place.queue / "triage").iterdir()) == [
            "verifier-000001",
            "verifier-000001.journal-head",
        ]


def test_a_deleted_rollout_whose_baseline_is_not_observed_is_rolling_back_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with producing(tmp_path) as made:
        made.until("canary")
        delete_rollout(made)
        with monkeypatch.context() as patched:
            patched.setattr(baseline, "ATTEMPTS", 0)
            report = made.operator.tell("rollback", "ann", "where is it?")
        assert (report.phase, report.exit_code) == (Phase.ROLLING_BACK, ExitCode.FAILS)
        assert report.notes[0].endswith("not observed yet: no process has registered; 0 of 40 probes answer fixed")
        assert made.actions()[-2:] == ["roll back", "not observed"]
        assert '"enabled": true' in made.place.config.read_text(encoding="utf-8")
        assert made.operator.cycle().phase is Phase.ROLLED_BACK
        assert made.actions()[-3:] == ["receipt", "triage", "settle"]


def test_a_flag_that_somebody_raises_where_no_rollout_ever_was_is_put_back(tmp_path: Path) -> None:
    with producing(tmp_path, begin=None) as made:
        publish(made.place.flag, Exposure(100, "theirs"))
        report = made.operator.cycle()
        assert (report.rollout, report.phase) == ("", Phase.ROLLED_BACK)
        assert published(made.place.flag) is None
        with pytest.raises(MissingDataError, match="there is no rollout of service verifier; possible: start"):
            made.operator.cycle()


def test_word_of_a_rollback_is_carried_out_by_the_next_cycle_whatever_the_phase(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        word = made.place.queue / ASKED_FILE
        made.until("canary")
        made.operator.tell("pause", "ann", "lunch")
        word.write_text('{"who": "bob", "reason": "fire"}', encoding="utf-8")
        assert made.operator.cycle(dry_run=True).phase is Phase.PAUSED
        assert (made.cycle().phase, made.state.why) == (Phase.ROLLED_BACK, "fire")
        assert not word.exists()
        word.touch()
        assert made.cycle().why == "fire"
        assert made.actions().count("roll back") == 1
        word.touch()
        delete_rollout(made)
        with pytest.raises(MissingDataError, match="there is no rollout"):
            made.cycle()
        assert not word.exists()


def test_a_kill_between_state_and_flag_is_made_good_by_the_next_cycle(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.traffic(300)
        made.cycle()
        # As a kill would leave it: the store has the next stage, the flag still has the one before.
        made.cycle()
        publish(made.place.flag, None)
        fresh = again(made)
        state = fresh.cycle()
        assert (state.current.name, state.phase) == ("canary", Phase.PROGRESSING)
        assert published(made.place.flag) == Exposure(50, "verifier-000001", ("eu",))


def test_a_process_that_has_judged_nothing_freezes_what_the_last_cycle_saw(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.until("canary")
        made.traffic()
        made.cycle()
        judged = [event.numbers for event in made.operator.history() if event.action == "judge"][-1]
        made.traffic()
        with again(made).operator as fresh:
            fresh.tell("rollback", "ann", "enough")
            bundle = made.place.bundle(fresh.current.id)
        assert json.loads((bundle / "evidence.json").read_text(encoding="utf-8")) == judged["evidence"]
        assert json.loads((bundle / "gates.json").read_text(encoding="utf-8")) == judged["gates"]


def test_decisions_of_a_process_that_does_not_know_of_the_next_stage_yet_are_no_evidence_about_it(
    tmp_path: Path,
) -> None:
    with producing(tmp_path) as made:
        earlier = situation_in(made.store)
        assert earlier.stage == "staging"
        made.until("canary")
        exposed = [it for it in corrections(50_000, 400) if made.flag.ask(it.target, it.region).arm == "adaptive"]
        before = len(Ledger(made.store).rows("verifier-000001", "staging"))
        with made.process(earlier) as late_process:
            late = [late_process.verify(correction.case()) for correction in exposed[:60]]
        # Told of the shadow, nobody is adaptive, whatever the flag says already.
        assert {served.arm for served in late} == {"fixed"}
        made.cycle()
        assert made.judged("disagreement")["numbers"]["audits"] == 0
        assert len(Ledger(made.store).rows("verifier-000001", "staging")) == before + 60
        with made.process() as process:
            assert {process.verify(correction.case()).arm for correction in exposed[60:80]} == {"adaptive"}
        made.cycle()
        assert made.judged("disagreement")["numbers"]["audits"] == 20


def test_a_process_that_knows_of_the_stage_before_it_sees_its_flag_audits_only_what_the_stage_exposes_too(
    tmp_path: Path,
) -> None:
    stages = [*STAGES[:2], {**STAGES[1], "name": "half", "weight": 80, "regions": []}, STAGES[2]]
    with producing(tmp_path, content(stages=stages)) as made:
        seen = dict[str, int]()
        for stage in ("canary", "half"):
            old_path = tmp_path / f"before-{stage}.json"
            publish(old_path, published(made.place.flag))
            made.until(stage)
            with FlagClient.from_file(old_path) as old, made.process(flag=old) as process:
                for correction in corrections(50_000 + 1_000 * len(seen), 400):
                    process.verify(correction.case())
            rows = [row for row in Ledger(made.store).rows("verifier-000001", stage) if row.audited]
            seen[stage] = len(rows)
            assert all(made.flag.ask(row.target, row.region).arm == "adaptive" for row in rows)
        # After the shadow there is nothing adaptive to audit; after the slice, the slice.
        assert seen["canary"] == 0
        assert seen["half"] > 50


def test_the_journal_says_who_when_why_and_with_which_numbers(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.operator.tell("pause", "ann", "lunch")
        first, second = made.operator.history()
        assert (first.who, first.action, first.at) == ("ann", "start", BEGAN)
        assert (second.who, second.why) == ("ann", "lunch")
        made.cycle()
        assert {gate["gate"] for gate in made.operator.history()[-1].numbers["gates"]} >= {
            "disagreement",
            "health",
            "flag",
        }


def test_a_runner_that_was_slow_publishes_nothing_over_a_rollback(tmp_path: Path) -> None:
    with producing(tmp_path) as made:
        made.until("canary")
        slow, late = again(made).operator.monitor.driver, PublishStage(made.state.current)
        made.operator.tell("rollback", "ann", "now")
        before = made.place.flag.stat().st_mtime_ns
        slow._do(late)
        assert published(made.place.flag) is None
        assert made.place.flag.stat().st_mtime_ns == before


def test_a_flag_file_that_is_published_again_after_its_deletion_is_newer_even_if_the_clock_went_back(
    tmp_path: Path,
) -> None:
    with producing(tmp_path) as made:
        before = made.place.flag.stat().st_mtime_ns
        made.place.flag.unlink()
        made.operator.tell("rollback", "ann", "now")
        assert made.place.flag.stat().st_mtime_ns > before
        with made.store.write() as connection:
            assert last_publication(connection) == made.place.flag.stat().st_mtime_ns
            note_publication(connection, 4_000_000_000_000_000_000)
        made.place.flag.unlink()
        made.operator.monitor.driver.reconcile()
        assert made.place.flag.stat().st_mtime_ns > 4_000_000_000_000_000_000


def test_a_genuine_disagreement_of_the_bundle_happens_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = content()
    config["verifier"]["adaptive_sampling"]["max_disagreement"] = 0.45
    close = [
        Correction(f"close{i}", f"t{i}", Estimate(0.0, 1.0, 1.0), Estimate(1.19, 1.0, 1.0), region="eu")
        for i in range(400)
    ]
    place, clock = place_in(tmp_path, config), Clock()
    with Operator(place, clock=clock, corrections=lambda _: close) as operator:
        operator.start("ann", Start(source={"source": "these"}))
        ledger = Ledger(operator.store)
        with Production(operator, clock, operator.flag).process() as verifier:
            for correction in close:
                verifier.verify(correction.case())
        clock.now += CYCLE
        assert operator.cycle().phase is Phase.ROLLED_BACK
        differing = ledger.disagreements("verifier-000001", "staging")
        bundle = place.queue / "triage" / "verifier-000001"
        for row in differing[:5]:
            found = reproduce(bundle, row.key)
            assert found["differs"]
            plain = plain_row(row)
            assert (found["baseline"], found["adaptive"]) == (plain["baseline_decision"], plain["adaptive_decision"])
            assert (found["adaptive_n"], found["looks"][-1]["n"]) == (row.adaptive_n, 32)
        # The item's own commands, pasted one after the other.
        pasted = [
            shlex.split(line)[1:]
            for line in (bundle / "TRIAGE.md").read_text("utf-8").splitlines()
            if line[:8] == "suffice "
        ]
        assert [words[:2] for words in pasted] == [
            ["triage", "check"],
            ["triage", "reproduce"],
            ["rollout", "history"],
            ["triage", "close"],
        ]
        assert [run(words) for words in pasted] == [0, 0, 0, 0]
        assert f"{differing[0].key}: fixed " in capsys.readouterr().out
