"""What a runner writes: who, where, how bad and what, once as long as nothing new is to be said."""

import json

import pytest

from suffice.cli.runner_log import RunnerLog
from suffice.rollout.daemon import Pass
from suffice.rollout.phases import Phase
from suffice.rollout.report import Report

AT = 1_800_000_000.0
GOES_ON = Pass(Report("verifier-000001", Phase.PROGRESSING, "canary", "waits", notes=("clocks differ",)), None, 0, ())
PAUSED = Pass(Report("verifier-000001", Phase.PAUSED, "canary", "5 errors in a row"), None, 0, ())
WAITS = Pass(Report("verifier-000001", Phase.PROGRESSING, "canary", "waits"), None, 0, ("hook answered 500",))
FAILED = Pass(None, "store.db: disk full", 0, ())


def lines(capsys: pytest.CaptureFixture[str], *passes: Pass, **options: bool) -> list[str]:
    log = RunnerLog("verifier", lambda: AT, **{"as_json": False, **options})
    for one in passes:
        log.tell(one)
    return capsys.readouterr().out.splitlines()


def test_a_line_says_when_how_bad_whose_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, GOES_ON, PAUSED, WAITS, FAILED) == [
        "2027-01-15T08:00:00Z INFO verifier verifier-000001 canary: Progressing: waits; clocks differ",
        "2027-01-15T08:00:00Z WARNING verifier verifier-000001 canary: Paused: 5 errors in a row",
        "2027-01-15T08:00:00Z WARNING verifier verifier-000001 canary: Progressing: waits; a notification waits: hook "
        "answered 500",
        "2027-01-15T08:00:00Z ERROR verifier - -: store.db: disk full",
    ]


def test_what_is_said_again_is_counted_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = lines(capsys, FAILED, FAILED, FAILED, GOES_ON, FAILED)
    assert second.endswith("(2 passes before it said the same as the line above)")
    assert third == first


def test_a_collector_reads_objects_with_the_same_fields(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = map(json.loads, lines(capsys, GOES_ON, GOES_ON, FAILED, as_json=True))
    head = {"time": "2027-01-15T08:00:00Z", "level": "INFO", "service": "verifier", "rollout": "verifier-000001"}
    assert first.items() >= {**head, "stage": "canary", "message": "Progressing: waits; clocks differ"}.items()
    assert (first["report"]["phase"], first["left_out"], second["left_out"]) == ("Progressing", 0, 1)
    assert (second["level"], second["error"], second["report"]) == ("ERROR", "store.db: disk full", None)


def test_a_program_that_asks_for_each_pass_gets_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(lines(capsys, GOES_ON, GOES_ON, GOES_ON, as_json=True, every=True)) == 3
