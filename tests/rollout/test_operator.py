"""A rollout in production: it advances on proof, rolls back with a receipt, and nothing that breaks advances it."""

import json
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from production import (
    AGAIN,
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
from suffice.decision.rule import Decision
from suffice.errors import ConfigError, DataError, ExitCode, MissingDataError, PlanError, RolloutError, SufficeError
from suffice.evidence.rebuild import from_source
from suffice.flag.client import FlagClient
from suffice.flag.document import Exposure
from suffice.flag.file import publish, published
from suffice.flag.lowering import ASKED_FILE
from suffice.rollout import baseline, settle
from suffice.rollout.controller import PublishStage
from suffice.rollout.operator import Operator, Start
from suffice.rollout.phases import Phase
from suffice.rollout.status import advances_when, status_of
from suffice.rollout.wish import leave_wish
from suffice.rollout.world import Place
from suffice.serving.verifier import Verifier
from suffice.sources.built import Builder
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
    with producing(tmp_path) as production:
        assert published(production.place.flag) is None
        production.until("canary")
        assert published(production.place.flag) == Exposure(50, "verifier-000001", ("eu",))
        production.until("full")
        production.traffic()
        assert production.cycle().phase is Phase.COMPLETED
        assert production.actions() == ["start", "advance", "advance", "complete"]
        shadow = Ledger(production.store).rows("verifier-000001", "staging")
        assert {(row.arm, row.is_audit) for row in shadow} == {(Arm.FIXED, True)}
        with production.store.read() as connection:
            assert verify_journal(connection).intact


def test_a_region_that_disagrees_rolls_back_what_is_good_everywhere_else(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.until("canary")
        production.traffic()
        good = next(row for row in Ledger(production.store).rows("verifier-000001", "canary") if row.is_audit)
        bad = replace(good, baseline_decision=Decision.REJECTED, agrees=False)
        spread = [bad if i % 30 == 0 else replace(good, region="us") for i in range(900)]
        Ledger(production.store).append([replace(row, key=f"x{i}", target=f"x{i}") for i, row in enumerate(spread)])
        assert production.cycle().phase is Phase.ROLLED_BACK
        assert "region eu: 30 of " in production.state.why and "; of all: 30 of " in production.state.why
        with production.store.read() as connection:
            bundle = Path(items(connection)[0].bundle)
        slices = json.loads((bundle / "evidence.json").read_text(encoding="utf-8"))["slices"]
        assert [(name, part["disagreements"]) for name, part in slices.items()] == [("region eu", 30), ("region us", 0)]
        assert "region eu: 30 of " in (bundle / "TRIAGE.md").read_text(encoding="utf-8")


def test_more_invalid_decisions_than_in_the_shadow_are_an_error(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.until("canary")
        production.traffic()
        row = Ledger(production.store).rows("verifier-000001", "canary")[0]
        broken = replace(row, decision=Decision.INVALID, invalid=True, agrees=None, audited=False)
        Ledger(production.store).append([replace(broken, key=f"nan{i}", target=f"n{i}") for i in range(80)])
        production.cycle()
        health = production.judged("health")
        assert (health["outcome"], health["numbers"]["invalid"]) == ("Error", 80)
        assert "decisions are INVALID" in health["sentence"] and "in the shadow " in health["sentence"]


def test_time_exposure_and_proof_are_all_needed(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.traffic(300)
        assert "held 600 of 1200 s" in production.cycle().why
        assert production.cycle().current.name == "canary"
        production.cycle(), production.cycle()
        assert production.state.why == "0 of 50 audits"


@pytest.mark.parametrize(("reaction", "phase"), [("hold", Phase.PROGRESSING), ("fail", Phase.ROLLED_BACK)])
def test_silence_holds_or_rolls_back_as_configured(tmp_path: Path, reaction: str, phase: Phase) -> None:
    health = {"silence": reaction, "max_silence": "15m"}
    with producing(tmp_path, content(health=health)) as production:
        production.until("canary")
        production.traffic(20)
        assert production.cycle().phase is Phase.PROGRESSING
        assert production.cycle().phase is phase
        assert production.judged("health")["outcome"] == ("Inconclusive" if reaction == "hold" else "Failed")
        assert production.judged("health")["sentence"].startswith("no decision for 1,200 s (limit 900 s)")


def test_production_that_gives_no_sign_of_life_is_an_error_and_one_without_traffic_is_not(tmp_path: Path) -> None:
    health = {"max_age": "15m", "max_silence": "30d"}
    with producing(tmp_path, content(health=health)) as production:
        assert production.cycle().held == CYCLE
        production.cycle()
        assert production.state.why.startswith(
            "error 1 of at most 4 in a row: health: no sign of life of production for 1,200 s ("
        )
        assert production.state.held == CYCLE
        production.traffic()
        production.cycle()
        assert (production.state.errors, production.state.current.name) == (0, "canary")
        with production.store.write() as connection:
            note_sign(connection, "another", production.clock() + CYCLE)
        production.cycle(1_000)
        assert "no sign of life of production for 1,600 s" in production.state.why
        # A process that decides nothing, but lives.
        with production.store.write() as connection:
            note_sign(connection, "verifier", production.clock() + CYCLE)
        assert production.cycle().errors == 0
        assert "no sign of life" not in production.judged("health")["sentence"]


def test_every_process_from_a_configuration_gives_signs_of_life(tmp_path: Path) -> None:
    with producing(tmp_path, clock=Clock(time.time())) as production:
        with Verifier.from_config(production.place.config, queue=production.place.queue):
            pass
        # The first sign is given at once, and the end waits for it.
        production.clock.now = time.time() + 3_000
        assert production.cycle(0).errors == 0
        production.clock.now += 700
        assert "no sign of life" in production.cycle(0).why


def test_decisions_are_recomputed_in_a_fresh_process_from_a_source(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    clock = Clock()
    with Operator(place, clock=clock, sources=lambda *_: from_source(corrections(0, 500))) as operator:
        operator.start("ann", Start(source={"source": "these"}))
        production = Production(operator, clock, operator.flag)
        production.traffic()
        production.cycle()
        judged = production.judged("determinism")
        assert (judged["outcome"], judged["numbers"]["recomputed"]) == ("Successful", 20)
        with production.store.write() as connection:
            connection.exec_driver_sql("UPDATE decisions SET adaptive_n = adaptive_n + 1")
    with Operator(place, clock=clock, sources=lambda *_: from_source(corrections(0, 500))) as operator:
        clock.now += CYCLE
        report = operator.cycle()
        assert report.phase is Phase.ROLLED_BACK
        assert "20 of 20 decisions recomputed in a fresh process differ" in report.why


def test_without_anything_to_recompute_from_the_stage_does_not_end(tmp_path: Path) -> None:
    with producing(tmp_path, begin=Start(source={"source": "one that has none of them"})) as production:
        for _ in range(4):
            production.traffic()
            production.cycle()
        assert production.state.current.name == "staging"
        assert production.judged("determinism")["outcome"] == "Error"


SERVICE = """
import random
from suffice import Case

def build(*, key, target, region, features):
    return Case(key, target, lambda rng, n: rng.random(n) < features["quality"], region, features=features)

def by_chance(*, key, target, region, features):
    return Case(key, target, lambda rng, n: [random.random() < 0.8 for _ in range(n)], region, features=features)
"""


@contextmanager
def with_builder(folder: Path, function: str) -> Iterator[Production]:
    """A service whose cases only a function of its own can build, in its first stage, with some traffic."""
    (folder / "valves.py").write_text(SERVICE, encoding="utf-8")
    config = content()
    config["verifier"]["cases"] = f"valves:{function}"
    builder = Builder("valves:build", folder)
    with producing(folder, config, begin=Start()) as production:
        with production.process(situation_in(production.store)) as verifier:
            for i in range(30):
                verifier.verify(builder.case(f"v{i}", f"t{i}", "eu", {"quality": 0.6 + i % 5 / 10}))
        yield production


def test_decisions_about_cases_that_a_service_builds_are_recomputed_by_its_function(tmp_path: Path) -> None:
    with with_builder(tmp_path, "build") as production:
        production.cycle()
        judged = production.judged("determinism")
        assert (judged["outcome"], judged["numbers"]["recomputed"]) == ("Successful", 20)


def test_a_builder_whose_draws_differ_is_rolled_back(tmp_path: Path) -> None:
    with with_builder(tmp_path, "by_chance") as production:
        assert production.cycle().phase is Phase.ROLLED_BACK
        assert re.search(r"determinism: \d+ of 20 decisions recomputed in a fresh process differ", production.state.why)


def test_a_builder_that_cannot_build_is_an_error_with_its_sentence(tmp_path: Path) -> None:
    with with_builder(tmp_path, "build") as production:
        (tmp_path / "valves.py").write_text(
            "def build(*, key, target, region, features): raise KeyError(key)\n", "utf-8"
        )
        assert production.cycle().current.name == "staging"
        judged = production.judged("determinism")
        assert (judged["outcome"], judged["value"]) == ("Error", None)
        assert re.fullmatch(
            r"recorded decisions cannot be recomputed: verifier\.cases valves:build: raised for case 'v\d+': "
            r"KeyError: 'v\d+' \(valves\.py, line 1\) \(limit 0\)",
            judged["sentence"],
        )


def test_a_rollout_whose_builder_cannot_be_imported_does_not_start(tmp_path: Path) -> None:
    config = content()
    config["verifier"]["cases"] = "nowhere:build"
    with Operator(place_in(tmp_path, config), clock=Clock()) as operator:
        with pytest.raises(DataError, match=r"verifier\.cases is 'nowhere:build': ModuleNotFoundError"):
            operator.start("ann", Start())
        assert operator.newest is None
        operator.start("ann", WAIVED)


def roll_back(production: Production) -> None:
    production.until("canary")
    production.traffic()
    production.disagreements(60, "canary")
    production.cycle()


def test_a_failed_gate_rolls_back_with_a_receipt_and_everything_that_follows(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        before = production.place.config.read_text(encoding="utf-8")
        roll_back(production)
        assert production.state.phase is Phase.ROLLED_BACK
        assert "60 of" in production.state.why and "limit 10 %" in production.state.why
        assert published(production.place.flag) is None
        assert not any(production.flag.ask(f"t{i}", "eu").arm == "adaptive" for i in range(100))
        assert production.place.config.read_text(encoding="utf-8") == before.replace(
            '"enabled": true', '"enabled": false'
        )
        with production.store.read() as connection:
            receipt, (item,) = receipt_of(connection, "verifier-000001"), items(connection)
        assert receipt is not None
        assert receipt.asked == receipt.fixed > 0
        bundle = Path(item.bundle)
        assert check(bundle) == 14
        assert "not ours" not in "".join(path.read_text(encoding="utf-8") for path in bundle.iterdir())
        rows = [json.loads(line) for line in (bundle / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]
        assert sum(row["agrees"] is False for row in rows) == 60
        production.traffic()
        assert Ledger(production.store).adaptive_after("verifier-000001", receipt.at) == 0
        ordered = ["roll back", "observed", "receipt", "triage", "settle"]
        assert production.actions()[-5:] == ordered
        production.cycle()
        assert production.actions()[-5:] == ordered


def test_a_rollback_by_hand_is_possible_in_every_phase_that_is_not_back_already(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.operator.tell("pause", "ann", "lunch")
        assert production.operator.tell("rollback", "ann", "no appetite").phase is Phase.ROLLED_BACK
        assert production.operator.tell("rollback", "ann", "again").why == "no appetite"
        assert production.actions().count("roll back") == 1


def test_a_step_that_fails_after_the_receipt_is_done_later_and_nothing_twice(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        good = production.place.config.read_text(encoding="utf-8")
        production.place.config.write_text("{", encoding="utf-8")
        with pytest.raises(RolloutError, match=r"observed, but not settled: .*config.json: line 1"):
            production.operator.tell("rollback", "ann", "why not")
        with production.store.read() as connection:
            assert receipt_of(connection, "verifier-000001") is not None
        with pytest.raises(RolloutError, match="not settled"):
            again(production).operator.cycle()
        production.place.config.write_text(good, encoding="utf-8")
        with pytest.raises(RolloutError, match="rollback of verifier-000001 is not settled"):
            production.operator.start("ann", WAIVED)
        again(production).operator.cycle()
        assert production.actions()[-5:] == ["roll back", "observed", "receipt", "triage", "settle"]
        assert '"enabled": false' in production.place.config.read_text(encoding="utf-8")


def test_a_new_rollout_starts_from_the_first_stage_with_no_old_evidence(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        roll_back(production)
        with pytest.raises(RolloutError, match="enabled is false"):
            production.operator.start("ann", WAIVED)
        report = production.operator.start("ann", AGAIN)
        assert (report.rollout, report.stage) == ("verifier-000002", "staging")
        production.cycle()
        assert production.judged("disagreement")["numbers"]["audits"] == 0


def test_a_start_is_refused_with_the_reason_and_stores_nothing(tmp_path: Path) -> None:
    last = {"name": "full", "weight": 100, "audit_fraction": 0.9}
    refused: list[tuple[dict[str, object], Start, type[SufficeError], str]] = [
        (content(stages=[*STAGES[:2], last]), WAIVED, RolloutError, "the last stage, with audits of 90 %"),
        (content(stages=[]), WAIVED, ConfigError, "a list of at least one stage"),
        (content(), Start(waived=("disagreement",)), RolloutError, "disagreement cannot be waived"),
    ]
    for config, begin, error, sentence in refused:
        with producing(tmp_path, config, begin=None) as production:
            with pytest.raises(error, match=sentence):
                production.operator.start("ann", begin)
            assert production.operator.newest is None
            assert not production.place.flag.exists()
    with producing(tmp_path, begin=None) as production:
        edit(production.place, adaptive_sampling={"enabled": True, "plan_file": "none.json"})
        with pytest.raises(PlanError, match=r"none\.json"):
            production.operator.start("ann", WAIVED)


def test_one_rollout_is_active_at_a_time_and_one_service_has_the_flag(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        with pytest.raises(RolloutError, match=r"verifier-000001 is Progressing; possible: pause, advance, rollback$"):
            production.operator.start("bob", WAIVED)
        other = Place(production.place.config, production.place.queue, "other")
        with (
            Operator(other, clock=production.clock) as operator,
            pytest.raises(RolloutError, match="whose flag this is"),
        ):
            operator.start("bob", WAIVED)


def test_illegal_commands_name_the_legal_ones_and_change_nothing(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        version = production.operator.current.version
        for command in ("resume", "approve"):
            with pytest.raises(
                RolloutError, match=f"{command} is not possible while Progressing; possible: pause, adv"
            ):
                production.operator.tell(command, "ann")
        with pytest.raises(RolloutError, match=r"staging is not over: held 0 of 1200 s; advance skips no proof"):
            production.operator.advance("ann", dry_run=True)
        assert production.operator.current.version == version


def test_a_stage_that_needs_approval_waits_for_it(tmp_path: Path) -> None:
    with producing(tmp_path, content(stages=[{**STAGES[0], "approval": True}, *STAGES[1:]])) as production:
        production.traffic()
        production.cycle(), production.cycle()
        waiting = (Phase.AWAITING_APPROVAL, "stage staging has passed and waits for approval")
        assert (production.state.phase, production.state.why) == waiting
        allowed = "resume is not possible while AwaitingApproval; possible: pause, approve, rollback"
        with pytest.raises(RolloutError, match=allowed):
            production.operator.tell("resume", "ann")
        production.operator.tell("approve", "ann")
        approval = production.operator.history()[-1]
        assert (approval.who, approval.action, approval.why) == ("ann", "approve", "ann approved stage staging")
        assert advances_when(status_of(production.operator)) == ["the next cycle: the stage is approved"]
        assert production.cycle().current.name == "canary"


def test_a_dry_run_says_what_would_follow_and_does_nothing(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.traffic()
        production.cycle()
        production.clock.now += CYCLE
        before = (production.operator.current, production.operator.history(), production.place.flag.stat().st_mtime_ns)
        report = production.operator.cycle(dry_run=True)
        assert "publish stage canary: 50 % adaptive in eu" in report.commands
        foreseen = production.operator.tell("rollback", "ann", "x", dry_run=True).commands
        assert foreseen[0].startswith("publish the baseline")
        assert (
            production.operator.current,
            production.operator.history(),
            production.place.flag.stat().st_mtime_ns,
        ) == before


def test_clock_jumps_advance_nothing_and_say_so(tmp_path: Path) -> None:
    with producing(tmp_path, content(stages=[{**STAGES[0], "hold": "2d"}, *STAGES[1:]])) as production:
        production.traffic()
        production.cycle()
        for jump in (-5 * 86_400, 30 * 86_400):
            production.clock.now += jump
            production.traffic(5)
            production.cycle(0)
            assert production.state.held == 600 + (2 * CYCLE if jump > 0 else 0)
        assert production.state.current.name == "staging"
        back, on = production.said
        assert back == "the clock is 432,000 s behind that of the last cycle; nothing is credited until it is past it"
        assert on == "2,160,000 s since the last cycle; at most 1,200 s are credited"


def test_targets_that_move_to_other_buckets_are_an_error_in_every_cycle_and_then_a_pause(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        about = json.loads(json.dumps(production.operator.current.config))
        first = next(iter(about["sample"]["buckets"]))
        # As an upgrade of the evaluator would have it: the recorded bucket is not the one that it gives now.
        about["sample"]["buckets"][first] = (about["sample"]["buckets"][first] + 1) % 100
        with production.store.write() as connection:
            connection.exec_driver_sql("UPDATE rollouts SET config = ?", (json.dumps(about),))
        fresh = again(production)
        fresh.traffic(300)
        for number in range(1, 5):
            why = fresh.cycle().why
            assert f"error {number} of at most 4" in why
            assert f"1 of 20 recorded targets have moved to another bucket (limit 0), the first is {first}" in why
        assert (fresh.cycle().phase, fresh.state.current.name) == (Phase.PAUSED, "staging")
        assert fresh.actions() == ["start", "pause"]


def test_a_guardrail_that_fails_while_a_person_paused_rolls_back(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.until("canary")
        production.operator.tell("pause", "ann", "lunch")
        production.traffic()
        assert production.cycle().phase is Phase.PAUSED
        production.disagreements(60, "canary")
        assert production.cycle().phase is Phase.ROLLED_BACK
        assert "60 of" in production.state.why


@pytest.mark.parametrize("jump", [-5 * 86_400, 30 * 86_400])
def test_a_clock_that_jumps_for_the_runner_alone_knows_of_no_sign_of_life_and_credits_nothing(
    tmp_path: Path, jump: float
) -> None:
    with producing(tmp_path) as production:
        production.traffic(300)
        production.cycle()
        state = production.cycle(jump)
        assert (state.current.name, state.held) == ("staging", CYCLE)
        assert "error 1 of at most 4 in a row: health: no sign of life of production for" in state.why


@pytest.mark.parametrize("shift", ["2026-03-29T00:50:00", "2026-10-25T00:50:00"])
def test_a_change_to_or_from_daylight_saving_time_is_no_jump(
    tmp_path: Path, shift: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        began = datetime.fromisoformat(shift).replace(tzinfo=UTC).timestamp()
        with producing(tmp_path, clock=Clock(began)) as production:
            offsets = {time.localtime(began).tm_gmtoff, time.localtime(began + 2 * CYCLE).tm_gmtoff}
            assert offsets == {3600, 7200}
            production.cycle(), production.cycle()
            assert (production.state.held, production.said) == (2 * CYCLE, [])
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_flag_file_that_is_deleted_truncated_or_edited_is_published_again_and_advances_nothing(
    tmp_path: Path,
) -> None:
    with producing(tmp_path) as production:
        production.until("canary")
        production.traffic()
        production.cycle()
        wanted = published(production.place.flag)
        for harm, sentence in (
            (lambda flag: flag.unlink(), "there is no flag file"),
            (lambda flag: flag.write_bytes(flag.read_bytes()[:40]), "not JSON"),
            (lambda flag: publish(flag, Exposure(100, "verifier-000001")), "says 100 % adaptive in all regions"),
        ):
            harm(production.place.flag)
            state = production.cycle()
            assert state.current.name == "canary"
            assert "error 1 of at most 4" in state.why
            assert sentence in state.why and "published again" in state.why
            assert published(production.place.flag) == wanted
            # A resume sets the count of errors back.
            production.operator.tell("pause", "ann")
            production.operator.tell("resume", "ann")


def test_a_read_only_flag_file_is_replaced_and_one_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.place.flag.chmod(0o444)
        production.until("canary")
        assert published(production.place.flag) == Exposure(50, "verifier-000001", ("eu",))
        production.place.flag.unlink()
        production.place.flag.mkdir()
        production.traffic()
        for number in range(1, 5):
            state = production.cycle()
            assert f"error {number} of at most 4" in state.why
            assert "cannot be published again" in state.why
        assert (production.cycle().phase, production.state.current.name) == (Phase.PAUSED, "canary")
        report = production.operator.tell("rollback", "ann", "flag")
        assert report.phase is production.state.phase is Phase.ROLLING_BACK
        (note,) = report.notes
        assert "the baseline cannot be published" in note and "cannot be written" in note
        assert production.actions()[-2:] == ["roll back", "not observed"]
        with production.store.read() as connection:
            assert receipt_of(connection, "verifier-000001") is None
        assert '"enabled": true' in production.place.config.read_text(encoding="utf-8")
        production.place.flag.rmdir()
        assert production.cycle().phase is Phase.ROLLED_BACK


def test_a_ledger_that_cannot_be_read_is_an_error_and_then_a_pause(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.traffic()
        production.cycle()
        with production.store.write() as connection:
            connection.exec_driver_sql("ALTER TABLE decisions RENAME TO elsewhere")
        for number in range(1, 5):
            assert f"error {number} of at most 4 in a row: disagreement: audits: not measured" in production.cycle().why
        assert (production.cycle().phase, production.state.current.name) == (Phase.PAUSED, "staging")
        assert "no such table" in production.said[-1]


def test_nan_in_the_numbers_is_an_error(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.traffic()
        production.cycle()
        production.traffic()
        newest = "WHERE id = (SELECT max(id) FROM decisions)"
        with production.store.write() as connection:
            connection.exec_driver_sql(f"UPDATE decisions SET adaptive_n = 'NaN' {newest}")
        state = again(production).cycle()
        assert state.current.name == "staging"
        assert "not measured" in state.why
        with production.store.write() as connection:
            connection.exec_driver_sql(f"UPDATE decisions SET adaptive_n = 8 {newest}")
        assert production.cycle().current.name == "canary"


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
    with producing(tmp_path) as production:
        production.traffic(300)
        production.cycle()
        good = production.place.config.read_text(encoding="utf-8")
        edit(production.place, **change)
        state = production.cycle()
        assert (state.phase, state.current.name) == (Phase.PAUSED, "staging")
        assert sentence in state.why and "a changed plan or configuration is a new rollout" in state.why
        with pytest.raises(RolloutError, match="resume is refused"):
            production.operator.tell("resume", "ann")
        production.place.config.write_text(good, encoding="utf-8")
        production.operator.tell("resume", "ann")
        assert production.cycle().current.name == "canary"


def test_what_the_host_application_changes_in_its_own_sections_is_no_change(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        text = production.place.config.read_text(encoding="utf-8").replace("not ours", "still not ours")
        production.place.config.write_text(text, encoding="utf-8")
        assert production.cycle().phase is Phase.PROGRESSING


def test_a_key_that_the_version_which_started_the_rollout_did_not_have_is_no_change(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        about = json.loads(json.dumps(production.operator.current.config))
        del about["config"]["rollout"]["health"]
        with production.store.write() as connection:
            connection.exec_driver_sql("UPDATE rollouts SET config = ?", (json.dumps(about),))
        fresh = again(production)
        assert fresh.cycle().phase is Phase.PROGRESSING
        config = json.loads(production.place.config.read_text(encoding="utf-8"))
        config["rollout"]["health"] = {"silence": "fail"}
        production.place.config.write_text(json.dumps(config), encoding="utf-8")
        assert 'rollout.health.silence is "fail", the rollout was started with "hold"' in fresh.cycle().why


def test_a_configuration_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.traffic(300)
        production.cycle()
        production.place.config.write_text("{", encoding="utf-8")
        state = production.cycle()
        assert (state.phase, state.current.name) == (Phase.PROGRESSING, "staging")
        assert "error 1 of at most 4" in state.why and "config.json" in state.why


def test_a_plan_file_that_is_swapped_pauses_and_one_that_is_broken_is_an_error(tmp_path: Path) -> None:
    rule = suffice.Proportion(at_least=0.8)
    plan = tmp_path / "plan.json"
    suffice.plan(rule, n=32, max_disagreement=0.01).save(plan)
    config = content()
    config["verifier"]["adaptive_sampling"]["plan_file"] = "plan.json"
    with producing(tmp_path, config) as production:
        production.traffic(300)
        production.cycle()
        good = plan.read_text(encoding="utf-8")
        plan.write_text(good.replace('"method": "optimal"', '"method": "better"'), encoding="utf-8")
        assert "it was edited or damaged" in production.cycle().why
        suffice.plan(rule, n=32, max_disagreement=0.05).save(plan)
        state = production.cycle()
        assert (state.phase, state.current.name) == (Phase.PAUSED, "staging")
        assert "the plan is" in state.why


@pytest.mark.parametrize("stage", ["canary", "completed"])
def test_a_process_that_restarts_with_another_plan_decides_fixed_until_a_rollout_has_proven_it(
    tmp_path: Path, stage: str
) -> None:
    with producing(tmp_path) as production:
        production.until("canary")
        if stage == "completed":
            production.until("full")
            production.traffic()
            assert production.cycle().phase is Phase.COMPLETED
        exposed = [
            correction
            for correction in corrections(10_000, 200)
            if production.flag.ask(correction.target, correction.region).arm == "adaptive"
        ]
        assert len(exposed) > 20
        assert restarted(production, exposed) == {"adaptive"}
        edit(production.place, adaptive_sampling={"enabled": True, "max_disagreement": 0.02})
        for _ in range(2):
            assert restarted(production, exposed) == {"fixed"}
            production.cycle()
        judged = production.judged("plan")
        assert judged["outcome"] == "Error" and "restart those processes" in judged["sentence"]


def restarted(production: Production, cases: list[Correction]) -> set[str]:
    """The arms of these cases in a process that starts now; each case is decided once only."""
    with Verifier.from_config(
        production.place.config, queue=production.place.queue, clock=production.clock
    ) as verifier:
        production.sent += 1
        return {
            verifier.verify(replace(correction, key=f"{correction.key}/{production.sent}").case()).arm.value
            for correction in cases
        }


def test_decisions_of_another_plan_prove_nothing(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.traffic(300)
        with production.store.write() as connection:
            connection.exec_driver_sql("UPDATE decisions SET plan_id = 'older' WHERE id > 290")
        production.cycle(), production.cycle()
        assert production.state.current.name == "staging"
        assert "10 of 300 decisions were made with another plan" in production.state.why


def delete_rollout(production: Production, rollout: str = "verifier-000001") -> None:
    with production.store.write() as connection:
        connection.exec_driver_sql("DELETE FROM rollouts WHERE id = ?", (rollout,))


def test_a_deleted_rollout_is_a_rollback(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.until("canary")
        production.traffic()
        production.cycle(0)
        delete_rollout(production)
        with pytest.raises(RolloutError, match="the rollback of verifier-000001 is not settled"):
            production.operator.start("ann", WAIVED)
        report = production.operator.cycle()
        assert (report.rollout, report.phase) == ("verifier-000001", Phase.ROLLED_BACK)
        assert (report.why, report.possible) == ("the rollout was deleted from the store", ("start",))
        assert "50 % adaptive in eu" in report.notes[0]
        assert report.notes[0].endswith("there is no rollout, so the baseline was published, and observed")
        assert published(production.place.flag) is None
        assert '"enabled": false' in production.place.config.read_text(encoding="utf-8")
        with pytest.raises(MissingDataError, match="there is no rollout of service verifier; possible: start"):
            production.operator.cycle()
        assert production.actions() == ["start", "advance", "roll back", "receipt", "triage", "settle"]
        with production.store.read() as connection:
            receipt, (item,) = receipt_of(connection, "verifier-000001"), items(connection)
        # Of 20 targets in no region and in the one that the stages name.
        assert receipt is not None and receipt.asked == receipt.fixed == 40
        assert (item.stage, item.reason) == ("canary", "the rollout was deleted from the store")
        assert check(Path(item.bundle)) == 11
        rows = (Path(item.bundle) / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(rows) == len(Ledger(production.store).rows("verifier-000001", "canary")) > 0


def test_an_id_is_not_given_again_so_that_a_deleted_rollout_is_no_evidence_of_the_next(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.until("canary")
        delete_rollout(production)
        assert production.operator.cycle().phase is Phase.ROLLED_BACK
        again_ = production.operator.start("ann", AGAIN)
        assert again_.rollout == "verifier-000002"
        production.cycle()
        assert production.judged("disagreement")["numbers"]["audits"] == 0
        production.operator.tell("rollback", "ann", "enough")
        assert production.actions()[-4:] == ["observed", "receipt", "triage", "settle"]


def test_a_completed_rollout_does_not_come_back_when_the_one_after_it_is_deleted(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.until("full")
        production.traffic()
        assert production.cycle().phase is Phase.COMPLETED
        production.operator.start("ann", WAIVED)
        production.until("canary")
        delete_rollout(production, "verifier-000002")
        fresh = again(production)
        assert fresh.operator.tell("rollback", "ann", "where is it?").phase is Phase.ROLLED_BACK
        for command in (fresh.operator.cycle, lambda: fresh.operator.tell("rollback", "ann", "and now?")):
            with pytest.raises(MissingDataError, match="there is no rollout"):
                command()
        assert published(production.place.flag) is None


def test_a_deleted_rollout_is_settled_by_whoever_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with producing(tmp_path) as production:
        production.until("canary")
        delete_rollout(production)
        steps = (
            (baseline, "observe"),
            (baseline, "add_receipt"),
            *((settle, step) for step in ("set_enabled", "freeze_rollback", "open_item")),
        )
        for module, step in steps:
            with monkeypatch.context() as patched:
                patched.setattr(module, step, killed)
                with pytest.raises(KeyboardInterrupt):
                    again(production).operator.cycle()
        assert "published, and observed" in again(production).operator.cycle().notes[0]
        assert production.actions() == ["start", "advance", "roll back", "receipt", "triage", "settle"]
        assert sorted(path.name for path in (production.place.queue / "triage").iterdir()) == [
            "verifier-000001",
            "verifier-000001.journal-head",
        ]


def test_a_deleted_rollout_whose_baseline_is_not_observed_is_rolling_back_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with producing(tmp_path) as production:
        production.until("canary")
        delete_rollout(production)
        with monkeypatch.context() as patched:
            patched.setattr(baseline, "ATTEMPTS", 0)
            report = production.operator.tell("rollback", "ann", "where is it?")
        assert (report.phase, report.exit_code) == (Phase.ROLLING_BACK, ExitCode.FAILS)
        assert report.notes[0].endswith("not observed yet: no process has registered; 0 of 40 probes answer fixed")
        assert production.actions()[-2:] == ["roll back", "not observed"]
        assert '"enabled": true' in production.place.config.read_text(encoding="utf-8")
        assert production.operator.cycle().phase is Phase.ROLLED_BACK
        assert production.actions()[-3:] == ["receipt", "triage", "settle"]


def test_a_flag_that_somebody_raises_where_no_rollout_ever_was_is_put_back(tmp_path: Path) -> None:
    with producing(tmp_path, begin=None) as production:
        publish(production.place.flag, Exposure(100, "theirs"))
        report = production.operator.cycle()
        assert (report.rollout, report.phase) == ("", Phase.ROLLED_BACK)
        assert published(production.place.flag) is None
        with pytest.raises(MissingDataError, match="there is no rollout of service verifier; possible: start"):
            production.operator.cycle()


def test_word_of_a_rollback_is_carried_out_by_the_next_cycle_whatever_the_phase(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        word = production.place.queue / ASKED_FILE
        production.until("canary")
        production.operator.tell("pause", "ann", "lunch")
        word.write_text('{"who": "bob", "reason": "fire"}', encoding="utf-8")
        assert production.operator.cycle(dry_run=True).phase is Phase.PAUSED
        assert (production.cycle().phase, production.state.why) == (Phase.ROLLED_BACK, "fire")
        assert not word.exists()
        word.touch()
        assert production.cycle().why == "fire"
        assert production.actions().count("roll back") == 1
        word.touch()
        delete_rollout(production)
        with pytest.raises(MissingDataError, match="there is no rollout"):
            production.cycle()
        assert not word.exists()


def test_while_a_rollback_is_asked_for_nothing_else_is_possible(tmp_path: Path) -> None:
    asked = "ann asked for a rollback (too many alarms); the next cycle carries it out"
    for command, before in {"resume": ("pause",), "pause": (), "approve": (), "release": (), "advance": ()}.items():
        (tmp_path / command).mkdir()
        with producing(tmp_path / command) as production:
            for earlier in before:
                production.operator.tell(earlier, "bob")
            version = production.operator.current.version
            leave_wish(production.place.queue, "ann", "too many alarms")
            with pytest.raises(RolloutError) as refused:
                if command == "advance":
                    production.operator.advance("bob")
                else:
                    production.operator.tell(command, "bob")
            assert str(refused.value) == f"{command} is not possible: {asked}; possible: rollback"
            assert production.operator.current.version == version
            assert production.cycle().phase is Phase.ROLLED_BACK


def test_a_kill_between_state_and_flag_is_made_good_by_the_next_cycle(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.traffic(300)
        production.cycle()
        # As a kill would leave it: the store has the next stage, the flag still has the one before.
        production.cycle()
        publish(production.place.flag, None)
        fresh = again(production)
        state = fresh.cycle()
        assert (state.current.name, state.phase) == ("canary", Phase.PROGRESSING)
        assert published(production.place.flag) == Exposure(50, "verifier-000001", ("eu",))


def test_a_process_that_has_judged_nothing_freezes_what_the_last_cycle_saw(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.until("canary")
        production.traffic()
        production.cycle()
        judged = [event.numbers for event in production.operator.history() if event.action == "judge"][-1]
        production.traffic()
        with again(production).operator as fresh:
            fresh.tell("rollback", "ann", "enough")
            bundle = production.place.bundle(fresh.current.id)
        assert json.loads((bundle / "evidence.json").read_text(encoding="utf-8")) == judged["evidence"]
        assert json.loads((bundle / "gates.json").read_text(encoding="utf-8")) == judged["gates"]


def test_decisions_of_a_process_that_does_not_know_of_the_next_stage_yet_are_no_evidence_about_it(
    tmp_path: Path,
) -> None:
    with producing(tmp_path) as production:
        earlier = situation_in(production.store)
        assert earlier.stage == "staging"
        production.until("canary")
        exposed = [
            correction
            for correction in corrections(50_000, 400)
            if production.flag.ask(correction.target, correction.region).arm == "adaptive"
        ]
        before = len(Ledger(production.store).rows("verifier-000001", "staging"))
        with production.process(earlier) as late_process:
            late = [late_process.verify(correction.case()) for correction in exposed[:60]]
        # Told of the shadow, nobody is adaptive, whatever the flag says already.
        assert {served.arm for served in late} == {"fixed"}
        production.cycle()
        assert production.judged("disagreement")["numbers"]["audits"] == 0
        assert len(Ledger(production.store).rows("verifier-000001", "staging")) == before + 60
        with production.process() as process:
            assert {process.verify(correction.case()).arm for correction in exposed[60:80]} == {"adaptive"}
        production.cycle()
        assert production.judged("disagreement")["numbers"]["audits"] == 20


def test_a_process_that_knows_of_the_stage_before_it_sees_its_flag_audits_only_what_the_stage_exposes_too(
    tmp_path: Path,
) -> None:
    stages = [*STAGES[:2], {**STAGES[1], "name": "half", "weight": 80, "regions": []}, STAGES[2]]
    with producing(tmp_path, content(stages=stages)) as production:
        seen = dict[str, int]()
        for stage in ("canary", "half"):
            old_path = tmp_path / f"before-{stage}.json"
            publish(old_path, published(production.place.flag))
            production.until(stage)
            with FlagClient.from_file(old_path) as old, production.process(flag=old) as process:
                for correction in corrections(50_000 + 1_000 * len(seen), 400):
                    process.verify(correction.case())
            rows = [row for row in Ledger(production.store).rows("verifier-000001", stage) if row.audited]
            seen[stage] = len(rows)
            assert all(production.flag.ask(row.target, row.region).arm == "adaptive" for row in rows)
        # After the shadow there is nothing adaptive to audit; after the slice, the slice.
        assert seen["canary"] == 0
        assert seen["half"] > 50


def test_the_journal_says_who_when_why_and_with_which_numbers(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.operator.tell("pause", "ann", "lunch")
        first, second = production.operator.history()
        assert (first.who, first.action, first.at) == ("ann", "start", BEGAN)
        assert (second.who, second.why) == ("ann", "lunch")
        production.cycle()
        assert {gate["gate"] for gate in production.operator.history()[-1].numbers["gates"]} >= {
            "disagreement",
            "health",
            "flag",
        }


def test_a_runner_that_was_slow_publishes_nothing_over_a_rollback(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.until("canary")
        slow, late = again(production).operator.monitor.driver, PublishStage(production.state.current)
        production.operator.tell("rollback", "ann", "now")
        before = production.place.flag.stat().st_mtime_ns
        slow._do(late)
        assert published(production.place.flag) is None
        assert production.place.flag.stat().st_mtime_ns == before


def test_a_flag_file_that_is_published_again_after_its_deletion_is_newer_even_if_the_clock_went_back(
    tmp_path: Path,
) -> None:
    with producing(tmp_path) as production:
        before = production.place.flag.stat().st_mtime_ns
        production.place.flag.unlink()
        production.operator.tell("rollback", "ann", "now")
        assert production.place.flag.stat().st_mtime_ns > before
        with production.store.write() as connection:
            assert last_publication(connection) == production.place.flag.stat().st_mtime_ns
            note_publication(connection, 4_000_000_000_000_000_000)
        production.place.flag.unlink()
        production.operator.monitor.driver.reconcile()
        assert production.place.flag.stat().st_mtime_ns > 4_000_000_000_000_000_000


def test_a_genuine_disagreement_of_the_bundle_happens_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = content()
    config["verifier"]["adaptive_sampling"]["max_disagreement"] = 0.45
    close = [
        Correction(f"close{i}", f"t{i}", Estimate(0.0, 1.0, 1.0), Estimate(1.19, 1.0, 1.0), region="eu")
        for i in range(400)
    ]
    place, clock = place_in(tmp_path, config), Clock()
    with Operator(place, clock=clock, sources=lambda *_: from_source(close)) as operator:
        operator.start("ann", Start(source={"source": "these"}, accepted={"worst-case": "it is to be seen"}))
        ledger = Ledger(operator.store)
        with Production(operator, clock, operator.flag).process() as verifier:
            for correction in close:
                verifier.verify(correction.case())
        clock.now += CYCLE
        assert operator.cycle().phase is Phase.ROLLED_BACK
        differing = ledger.disagreements("verifier-000001", "staging")
        bundle = place.queue / "triage" / "verifier-000001"
        for row in differing[:5]:
            again = reproduce(bundle, row.key)
            assert again["differs"]
            plain = plain_row(row)
            assert (again["baseline"], again["adaptive"]) == (plain["baseline_decision"], plain["adaptive_decision"])
            assert (again["adaptive_n"], again["looks"][-1]["n"]) == (row.adaptive_n, 32)
        # The item's own commands, pasted one after the other.
        pasted = [
            shlex.split(line)[1:]
            for line in (bundle / "TRIAGE.md").read_text("utf-8").splitlines()
            if line[:8] == "suffice "
        ]
        assert [words[:2] for words in pasted] == [
            ["triage", "check"],
            ["triage", "explain"],
            ["triage", "reproduce"],
            ["rollout", "history"],
            ["triage", "close"],
        ]
        assert [run(words) for words in pasted] == [0, 0, 0, 0, 0]
        assert f"{differing[0].key}: fixed " in capsys.readouterr().out
