"""Rows of a service in another language: good ones in the ledger once, bad ones beside the file, audits in the
evidence."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from production import Production, producing

from suffice.cli.main import run
from suffice.errors import DataError
from suffice.rollout.ingest import STDIN, Ingested, ingest
from suffice.rollout.phases import Phase
from suffice.serving.situation import SERVICE
from suffice.store.irregular import Irregular, irregular_of
from suffice.store.ledger import Ledger
from suffice.store.signs import last_sign
from suffice.store.words import read_word

ID = "verifier-000001"


@pytest.fixture
def production(tmp_path: Path) -> Iterator[Production]:
    with producing(tmp_path) as started:
        started.cycle()
        yield started


def row(production: Production, key: str, **changes: Any) -> dict[str, Any]:
    """A fixed decision in the shadow, as the word asks for it."""
    with production.store.read() as connection:
        word = read_word(connection, SERVICE, production.clock()).word
    assert word is not None
    return {
        "key": key,
        "target": f"target {key}",
        "region": "eu",
        "arm": "fixed",
        "at": production.clock(),
        "rollout": word.rollout,
        "stage": word.stage,
        "epoch": word.epoch,
        "plan_id": word.plan_id,
        "process": "lease:verifier@host",
        "fixed_n": 32,
        "counts": [[n, n] for n in range(8, 33, 8)],
        **changes,
    }


def write(path: Path, *lines: dict[str, Any] | bytes) -> Path:
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(encoded) + b"\n")
    return path


def taken(production: Production, path: Path) -> Ingested:
    return ingest(production.store, SERVICE, production.place.queue, path, production.clock)


def refused(production: Production) -> int:
    with production.store.read() as connection:
        return irregular_of(connection, ID, "staging")[Irregular.REFUSED].count


def counter(production: Production, name: str) -> int:
    path = production.place.queue / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return int(metrics.get("counters", metrics).get(name, 0))


def test_a_cycle_counts_its_audits_and_its_sign_of_life(production: Production, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *(row(production, f"k{number}") for number in range(30)))
    done = taken(production, path)
    assert (done.lines, done.new, done.refused) == (30, 30, [])
    with production.store.read() as connection:
        assert last_sign(connection, SERVICE) == production.clock()
    production.cycle()
    assert production.judged("disagreement")["numbers"]["audits"] == 30
    assert not (tmp_path / "rows.jsonl.refused").exists()


def test_the_same_file_again_changes_nothing(production: Production, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *(row(production, f"k{number}") for number in range(5)))
    taken(production, path)
    rows, audits = Ledger(production.store).rows(ID), counter(production, "verifier_audits_total")
    assert audits == 5
    again = taken(production, path)
    assert (again.lines, again.new, again.refused) == (5, 0, [])
    assert Ledger(production.store).rows(ID) == rows
    assert counter(production, "verifier_audits_total") == audits
    with production.store.read() as connection:
        assert irregular_of(connection, ID, "staging")[Irregular.REUSED].count == 0


def test_a_key_of_another_decision_is_counted_as_reused(production: Production, tmp_path: Path) -> None:
    first, second = row(production, "k"), row(production, "k", target="another")
    done = taken(production, write(tmp_path / "rows.jsonl", first, second))
    assert (done.lines, done.new) == (2, 1)
    with production.store.read() as connection:
        assert irregular_of(connection, ID, "staging")[Irregular.REUSED].count == 1


def test_bad_lines_are_put_beside_the_file_with_their_numbers_and_counted_once(
    production: Production, tmp_path: Path
) -> None:
    bad, torn = row(production, "bad", decision="rejected"), b'{"key": "to'
    path = write(tmp_path / "rows.jsonl", row(production, "good"), bad, b"", torn)
    beside = tmp_path / "rows.jsonl.refused"
    for new in (1, 0):
        done = taken(production, path)
        assert (done.lines, done.new) == (3, new)
        assert [(each.number, each.why.split(";")[0]) for each in done.refused] == [
            (2, "decision is 'rejected'"),
            (4, "not JSON: Unterminated string starting at: line 1 column 9 (char 8)"),
        ]
        assert beside.read_bytes() == json.dumps(bad).encode() + b"\n" + torn + b"\n"
        assert refused(production) == 1, "nobody knows whose row the torn line was to be"
    production.cycle()
    assert production.judged("health")["outcome"] == "Error"
    mended = write(path, row(production, "bad", decision="accepted"))
    assert (taken(production, mended).new, beside.exists()) == (1, False)
    assert refused(production) == 0
    production.cycle(60)
    assert production.judged("health")["outcome"] != "Error"


def test_lines_that_name_no_stage_are_told_to_who_gave_them_and_stop_no_rollout(
    production: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: three such lines were an Error of every rollout for an hour, also of the next one."""
    nameless = [b"{", b"[1]", b'{"rollout": "", "stage": "", "colour": 1}']
    assert len(taken(production, write(tmp_path / "rows.jsonl", *nameless)).refused) == 3
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n".join(nameless))))
    assert len(taken(production, STDIN).refused) == 3
    assert refused(production) == 0
    production.cycle()
    assert production.judged("health")["outcome"] != "Error"


def test_a_refusal_is_over_when_the_mended_file_of_refused_lines_is_given(
    production: Production, tmp_path: Path
) -> None:
    bad = [row(production, name, colour=1) for name in ("first", "second")]
    taken(production, write(tmp_path / "rows.jsonl", *bad))
    assert refused(production) == 2
    beside = tmp_path / "rows.jsonl.refused"
    for name, left in (("first", 1), ("second", 0)):
        assert taken(production, write(beside, row(production, name))).new == 1
        assert refused(production) == left
    taken(production, write(tmp_path / "later.jsonl", bad[0]))
    assert refused(production) == 1, "refused anew"


def test_what_comes_by_standard_input_is_put_aside_with_the_spools_and_told_by_the_command_alone(
    production: Production, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lines = json.dumps(row(production, "good")) + "\n" + json.dumps(row(production, "bad", n=3)) + "\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    done = taken(production, STDIN)
    assert (done.lines, done.new, len(done.refused), refused(production)) == (2, 1, 1, 1)
    (line,) = (production.place.queue / "spool" / "refused" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["why"].startswith("line 2: n is 3; by the plan it is 32")
    assert json.loads(line)["row"]["key"] == "bad"
    assert caplog.messages == []


def test_more_than_a_portion_is_written_in_portions(
    production: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suffice.rollout.ingest.PORTION", 4)
    rows = [row(production, f"k{number}") for number in range(10)]
    rows[5]["fixed_n"] = 1
    done = taken(production, write(tmp_path / "rows.jsonl", *rows))
    assert (done.lines, done.new, [bad.number for bad in done.refused]) == (10, 9, [6])


def test_a_number_beyond_all_bounds_stops_only_its_own_line(production: Production, tmp_path: Path) -> None:
    huge = 10**400
    fields = ("at", "cost", "draw_seconds", "epoch", "fixed_n", "drawn", "n")
    bad = [row(production, name, **{name: huge}) for name in fields]
    bad.append(row(production, "features", features={"heat": huge}))
    drawn = row(production, "draws", draws=[1] * 31 + [huge])
    del drawn["counts"]
    done = taken(production, write(tmp_path / "rows.jsonl", *bad, drawn, row(production, "good")))
    assert (done.lines, done.new, [each.number for each in done.refused]) == (10, 2, [*range(1, 9)])
    assert all(len(each.why) < 200 and "\n" not in each.why for each in done.refused)
    assert [each.decision.value for each in Ledger(production.store).rows(ID)] == ["invalid", "accepted"]


def test_adaptive_rows_after_the_receipt_reopen_the_rollback(production: Production, tmp_path: Path) -> None:
    """A service that does not ask for the word any more, or not in time, is noticed by what it says of itself."""
    early = row(production, "early", arm="adaptive", target="t", counts=[[n, n] for n in range(8, 33, 8)])
    production.operator.tell("rollback", "ann", "enough")
    production.clock.now += 60
    taken(production, write(tmp_path / "rows.jsonl", {**early, "at": production.clock()}))
    production.cycle(60)
    assert "reopen" in production.actions()


def test_the_command_says_what_became_of_the_lines(
    production: Production, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The command asks the host's clock, which is behind that of this production.
    good = row(production, "good", at=1_700_000_000.0)
    path = write(tmp_path / "rows.jsonl", good, {**good, "colour": 1})
    words = ["ingest", str(path), "--queue", str(production.place.queue)]
    assert run(words) == 2
    told = capsys.readouterr()
    assert told.out == "2 lines: 1 new, 0 known already, 1 refused\n"
    assert told.err.startswith(f"suffice: {path}, line 2: 'colour' is not known; allowed: ")
    path.write_bytes(json.dumps(good).encode())
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"lines": 1, "new": 0, "refused": []}


def test_a_file_that_cannot_be_read_is_bad_input(production: Production, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.jsonl: cannot be read: No such file"):
        taken(production, tmp_path / "none.jsonl")


def test_audits_that_reach_the_ledger_after_their_stage_has_passed_roll_back(production: Production) -> None:
    production.until("full")
    production.disagreements(80, "canary")
    production.traffic()
    assert production.cycle().phase is Phase.ROLLED_BACK
    assert production.judged("disagreement")["sentence"].startswith("canary, passed: 80 of ")


def test_one_fallback_in_the_shadow_rolls_nothing_back(production: Production, tmp_path: Path) -> None:
    lines = [row(production, "fell back", why_fixed="FALLBACK"), *(row(production, f"clear {i}") for i in range(300))]
    assert taken(production, write(tmp_path / "rows.jsonl", *lines)).new == 301
    assert production.cycle().phase is Phase.PROGRESSING
    (arms,) = (part for part in production.judged("health")["parts"] if part["gate"] == "arms")
    assert arms["sentence"] == "0 of 301 targets are adaptive, 0 % (weight 0 %)"
