"""Every reader of what may be damaged: a valid example, and the function that reads it.

A new reader is one line of `READERS`; `test_readers.py` finds the module that has none.
"""

import csv
import gzip
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection

import suffice
from suffice import strict_json
from suffice.answer import Answer
from suffice.comparison.workers import pool
from suffice.config import CiGateConfig, shipped
from suffice.config.reading import load
from suffice.config.switch import set_enabled
from suffice.decision.rule import Decision
from suffice.errors import DataError, MissingDataError, SufficeError
from suffice.evidence.rebuild import features_of, from_provenance
from suffice.flag.document import Exposure, to_text
from suffice.flag.file import published
from suffice.flag.lowering import ASKED_FILE, FLAG_FILE, LoweringFiles
from suffice.resolution.provenance import resolved_content
from suffice.resolution.storm import StormPolicy
from suffice.rollout.command_checks import Check, judge_checks
from suffice.rollout.ingest import ingest
from suffice.rollout.wish import wish
from suffice.runbook.escalation_gate import judge_escalations
from suffice.runbook.metrics import show_metrics
from suffice.runbook.scenarios.catalogue import SCENARIOS, named
from suffice.runbook.sweep import Conditions, read_grid, sweep, tasks
from suffice.runbook.sweep_check import check as check_sweep
from suffice.runbook.sweep_check import compare as compare_sweeps
from suffice.runbook.sweep_files import RESULTS
from suffice.serving import spool
from suffice.sources import csv_files
from suffice.sources.correction import Estimate
from suffice.sources.recorded import Samples
from suffice.stopping.plan import Plan
from suffice.stopping.run import Run
from suffice.store.actions import Action
from suffice.store.address import NOTE, StoreAddressError, note_store, store_of
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow, Reason, plain_row
from suffice.store.events import ProvenanceEvent, append_provenance, provenance_of
from suffice.store.journal import JournalEvent, append_journal, journal_of
from suffice.store.note import NAME, Note, read_note, write_note
from suffice.store.outbox import due, enqueue_events
from suffice.store.records import Change, Record, load_records, save_changes
from suffice.store.rollouts import StoredRollout, create_rollout
from suffice.store.rollups import Rollup, load_rollup, save_rollup
from suffice.store.schema import resolutions
from suffice.store.words import Word, write_word
from suffice.telemetry.counters import Counter, Counts
from suffice.telemetry.metrics_file import read as read_metrics
from suffice.telemetry.metrics_file import to_text as metrics_text
from suffice.triage.frozen import explained
from suffice.triage.manifest import MANIFEST, check, freeze
from suffice.triage.reproduce import reproduce
from suffice.verifier.arm import Arm

COUNTS, MEANS = suffice.Proportion(0.5), suffice.PairedMean()


@dataclass(frozen=True, slots=True)
class Reader:
    """`file` is the path of what is damaged, within a folder that `example` fills; `kind` is how (see mutation.py).

    `read` gets the path. `seal` makes a file that was edited look whole again: the hash that it, or its neighbour, has.
    A reader that is `lenient` takes a damaged file for none. One that is `unnamed` is given text, and knows no file.
    """

    name: str
    file: str
    kind: str
    example: Callable[[Path], None]
    read: Callable[[Path], object]
    seal: Callable[[Path], None] | None = None
    lenient: bool = False
    unnamed: bool = False

    def path(self, folder: Path) -> Path:
        """What is damaged."""
        return folder / (report_file() if self.file == REPORT else self.file)


REPORT = "the first report of a sweep"


def content(name: str, text: str | bytes) -> Callable[[Path], None]:
    data = text.encode() if isinstance(text, str) else text
    return lambda folder: (folder / name).write_bytes(data) and None


def samples(rule: Any, columns: dict[str, str] | None = None) -> Callable[[Path], object]:
    return lambda path: list(Samples(path, rule, columns=columns))


CSV_VALUES = "case,value,target,region,seed\na,1,pump,eu,7\na,0,pump,eu,8\nb,1,,,9\nb,1,,,9\nc,,,,\n"
CSV_PAIRS = "case;before;after\na;1.5;2\na;0.1;0.2\nb;1669190400123456789;1669190400123456790\nb;-1e300;1e300\n"
JSONL_VALUES = (
    '{"case": "a", "target": "pump", "samples": [1, 0, true, "pass"]}\n'
    '{"case": "b", "region": "eu", "samples": [0, 0]}\n'
)
JSONL_PAIRS = (
    '{"case": "a", "before": [1.5, 0.1], "after": [2, 0.2]}\n'
    '{"case": 7, "before": [1669190400123456789, 1], "after": [1, 2]}\n'
)
RECORDS = "key,value,u_plus,u_minus,region,time,context\np,1.5,0.1,0.2,eu,2020,x\nq,2,1,1,,2021,\n"
MEASUREMENTS = "key,target,value,u,time\nm1,p,1.6,0.1,2022\nq,,2.5,0.5,2023\n"


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=3)
    return out.getvalue()


PARQUET_VALUES = parquet(pa.table({"case": ["a", "a", "b", "b"], "value": [1, 0, 1, 1], "region": ["eu"] * 4}))
PARQUET_LISTS = parquet(pa.table({"case": ["a", "b"], "before": [[1.5, 2.0], []], "after": [[2.5, 1.0], []]}))


def records_and_measurements(folder: Path) -> None:
    (folder / "records.csv").write_text(RECORDS)
    (folder / "measurements.csv").write_text(MEASUREMENTS)


def corrected(path: Path) -> object:
    return csv_files.corrections(path.with_name("records.csv"), path.with_name("measurements.csv"))


@cache
def plan() -> Plan:
    return suffice.plan(COUNTS, 20, 0.01)


@cache
def mean_plan() -> Plan:
    return suffice.plan(suffice.Mean(at_least=1.0), 20, 0.05, method="margin")


def hashed_anew(path: Path) -> None:
    """A plan that somebody edited and gave the hash that it now has."""
    edited = strict_json.loads(path.read_bytes())
    if isinstance(edited, dict):
        edited["id"] = sha256(
            json.dumps({k: v for k, v in edited.items() if k != "id"}, sort_keys=True).encode()
        ).hexdigest()
        path.write_text(json.dumps(edited))


def loaded_plan(path: Path) -> object:
    """What a command does with a plan that it loaded."""
    loaded = Plan.load(path)
    run = loaded.start()
    run.observe([1] * min(loaded.n, 100))
    return repr(loaded), loaded.to_dict(), loaded.looks


def run_state(path: Path) -> object:
    try:
        content = strict_json.loads(path.read_bytes())
    except ValueError:
        return None  # A host reads it, and keeps it where it likes.
    run = Run.from_dict(content)
    while run.open and run.n < 100:
        run.observe([1.0])
    return run.to_dict()


def started(rule: Any, draws: list[float]) -> str:
    run = suffice.plan(rule, 20, 0.05, method="margin").start()
    run.observe(draws)
    return json.dumps(run.to_dict())


METRICS = metrics_text(
    Counts(9, {Counter.ESCALATIONS: 5, Counter.ADAPTIVE_USED: 7, Counter.ADAPTIVE_SAMPLES: 70}, {"TimeoutError": 2})
)
OLDER_METRICS = (
    '{"metrics": {"resolution_rollback_storm_escalations_total": 5, "resolution_adaptive_used_total": 2.0, '
    '"own": null}}'
)


def metrics(path: Path) -> object:
    """What the dashboard refuses, the gate cannot tell; what it shows, the gate judges."""
    gate = judge(lambda: judge_escalations(path, CiGateConfig()))
    dashboard = judge(lambda: show_metrics(read_metrics(path), 100))
    assert isinstance(gate, Answer) or not isinstance(dashboard, Answer)
    assert not isinstance(gate, Answer) or not isinstance(dashboard, DataError)
    if isinstance(dashboard, DataError):
        assert str(gate).startswith(str(path))
        raise dashboard
    return None


def judge(ask: Callable[[], Answer]) -> Answer | SufficeError:
    try:
        return ask()
    except (DataError, MissingDataError) as error:
        return error


@cache
def finished_sweep() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="suffice-fuzz-sweep-"))
    conditions = Conditions(suffice.plan(COUNTS, 8, 0.01), 42, StormPolicy(3), datetime(2025, 1, 1, tzinfo=UTC))
    with pool() as workers:
        list(sweep(folder, tasks(named(["zero_variance"])), conditions, workers))
    return folder


def sweep_folder(folder: Path) -> None:
    shutil.copytree(finished_sweep(), folder, dirs_exist_ok=True)


@cache
def report_file() -> str:
    with (finished_sweep() / RESULTS).open(newline="") as file:
        return next(csv.DictReader(file))["report_file"]


def checked_sweep(path: Path) -> object:
    folder = next(parent for parent in path.parents if (parent / RESULTS).exists())
    findings = [*check_sweep(folder), *compare_sweeps(folder, finished_sweep())]
    for finding in findings:
        assert len(f"{finding.file}: {finding.what}".splitlines()) == 1, finding
    return findings


def bundle(folder: Path) -> None:
    asked = {
        "key": "c",
        "target": "t",
        "record": asdict(Estimate(0.0, 1.0, 1.0)),
        "measurement": asdict(Estimate(1.0, 1.0, 0.5)),
        "seed": 3,
        "plan_id": plan().id,
        "fault": None,
    }
    audit = DecisionRow(
        "c", "t", Arm.FIXED, Decision.ACCEPTED, 20, 20, 0.5, Reason.REACHED_N, 3, plan().id, 5.0, audited=True,
        shadow=True, baseline_decision=Decision.ACCEPTED, baseline_n=20, adaptive_decision=Decision.REJECTED,
        adaptive_n=8, agrees=False, features='{"heat":71.5,"model":"b"}', baseline_statistic=10.0, halves=0.5,
    )  # fmt: skip
    files = {
        "audits.jsonl": json.dumps(plain_row(audit)) + "\n",
        "plan.json": json.dumps(plan().to_dict()),
        "disagreements.jsonl": json.dumps(asked) + "\n",
    }
    freeze(folder / "bundle", files)


def vouched_for(path: Path) -> None:
    folder = path.parent
    names = sorted(each.name for each in folder.iterdir() if each.name != MANIFEST)
    lines = (f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (folder / MANIFEST).write_text("".join(lines))


EXPOSURE = Exposure(5, "verifier-1", ("eu", "us"))


def folder_of(read: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda path: read(path.parent)


def told_address(path: Path) -> object:
    """The folder's store is elsewhere, whatever stands in the note."""
    try:
        return store_of(path.parent)
    except StoreAddressError as error:
        assert len(str(error).splitlines()) == 1
        return str(error)


SPOOLED = DecisionRow(
    "k", "t", Arm.ADAPTIVE, Decision.ACCEPTED, 8, 64, 0.9, Reason.ACCEPT_BOUNDARY, 42, "p", 1.8e9, "r", "canary"
)


def spooled(path: Path) -> object:
    refused: list[Any] = []
    rows = list(spool._rows(path, refused))
    return rows, refused


def features(path: Path) -> object:
    return features_of(replace(SPOOLED, features=path.read_bytes().decode(errors="replace")))


@cache
def rolling_out() -> Store:
    """A store with a rollout and its word, for rows of a service in another language."""
    opened = open_store(Path(tempfile.mkdtemp(prefix="suffice-fuzz-rows-")) / "store.db")
    about = {"plan": plan().id, "table": plan().to_dict(), "config": strict_json.loads(CONFIG)}
    with opened.write() as connection:
        create_rollout(connection, StoredRollout("r", "verifier", "Progressing", {}, about, 1.0, 1.0))
        write_word(
            connection,
            Word("verifier", "r", plan().id, "Progressing", "canary", None, 0.0, "", shadow=False, length=None),
            1.0,
        )
    return opened


def foreign_rows(folder: Path) -> None:
    row = {
        "key": "k",
        "target": "t",
        "arm": "fixed",
        "at": 1.5e9,
        "rollout": "r",
        "stage": "canary",
        "epoch": 1,
        "plan_id": plan().id,
        "process": "lease:verifier@host",
        "fixed_n": 20,
        "features": {"size": 3},
    }
    lines = ({**row, "draws": [1, 0] * 10}, {**row, "key": "l", "counts": [[10, 9], [20, 18]], "why_fixed": "LAPSED"})
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def ingested(path: Path) -> object:
    done = ingest(rolling_out(), "verifier", path.parent, path)
    assert all(len(bad.why.splitlines()) == 1 and len(bad.why) < 1_000 for bad in done.refused), done.refused
    return done


def checks(folder: Path) -> None:
    (folder / "smoke.json").write_text('{"at": 5.0, "code": 0, "output": "fine"}')
    (folder / "smoke.begun").write_text("5.0")


def judged(path: Path) -> object:
    return judge_checks([Check("smoke", "true", 60.0)], path.parent, 10.0, ask=False)


def switched(path: Path) -> object:
    load(path)
    set_enabled(path, False)
    return path.read_bytes()


@cache
def store() -> Store:
    """A store with a row in each table whose columns hold JSON."""
    opened = open_store(Path(tempfile.mkdtemp(prefix="suffice-fuzz-store-")) / "store.db")
    payloads = {
        "classified": {"record": [1.0, 0.1, 0.1], "measurement": [2.0, 0.1, 0.1]},
        "proposed": {"strategy": "x"},
    }
    with opened.write() as connection:
        append_journal(connection, [JournalEvent(1.0, "r", "ann", Action.START, "why", {"weight": 5})])
        enqueue_events(connection, [Action.START], 1.0)
        append_provenance(connection, [ProvenanceEvent(1.0, "t", *event, "k") for event in payloads.items()])
        save_changes(connection, [Change(None, Record("t", 1.0, 0.1, 0.1, derived_from=(("s", 0.5),)), "new")])
        resolved = {
            "correction_key": "k",
            "target": "t",
            "outcome": "classified",
            "reason": "x",
            "scope": "t",
            "at": 1.0,
        }
        connection.execute(resolutions.insert().values(resolved))
        save_rollup(connection, Rollup("r", "rule"), Rollup("r", "rule", 1, {"decisions": 1}), {}, {}, set())
    return opened


def column(name: str, read: Callable[[Connection], object], of_what: str = "") -> Reader:
    """The reader of a column of the store; what is damaged is its text."""
    table, _, of = name.partition(".")

    def update_and_read(path: Path) -> object:
        with store().write() as connection:
            connection.exec_driver_sql(f"UPDATE {table} SET {of} = CAST(? AS TEXT)", (path.read_bytes(),))
        with store().read() as connection:
            return read(connection)

    def example(folder: Path) -> None:
        (folder / "column.json").write_text(STORED[name])

    return Reader(f"store: {name}{of_what}", "column.json", "json", example, update_and_read, unnamed=True)


STORED = {
    "audit_events.numbers": '{"weight": 5}',
    "outbox.payload": '{"rollout": "r", "action": "start", "numbers": {}}',
    "provenance.payload": '{"record": [1.0, 0.1, 0.1], "measurement": [2.0, 0.1, 0.1]}',
    "records.derived_from": '[["s", 0.5]]',
    "rollups.counts": '{"decisions": 1}',
}


def rebuilt(_: Connection) -> object:
    return from_provenance(store())([replace(SPOOLED, key="k")])


CONFIG = shipped().model_dump_json(indent=1)

READERS = [
    Reader("samples: CSV", "x.csv", "csv", content("x.csv", CSV_VALUES), samples(COUNTS)),
    Reader("samples: CSV of pairs", "x.csv", "csv", content("x.csv", CSV_PAIRS), samples(MEANS)),
    Reader("samples: JSON lines", "x.jsonl", "jsonl", content("x.jsonl", JSONL_VALUES), samples(COUNTS)),
    Reader("samples: JSON lines of pairs", "x.ndjson", "jsonl", content("x.ndjson", JSONL_PAIRS), samples(MEANS)),
    Reader("samples: Parquet", "x.parquet", "parquet", content("x.parquet", PARQUET_VALUES), samples(COUNTS)),
    Reader("samples: Parquet of lists", "x.parquet", "parquet", content("x.parquet", PARQUET_LISTS), samples(MEANS)),
    Reader(
        "samples: gzip", "x.csv.gz", "bytes", content("x.csv.gz", gzip.compress(CSV_VALUES.encode())), samples(COUNTS)
    ),
    Reader(
        "samples: named columns",
        "x.csv",
        "csv",
        content("x.csv", "task,passed,case\na,1,x\na,0,x\n"),
        samples(COUNTS, {"case": "task", "value": "passed"}),
    ),
    Reader("records", "records.csv", "csv", records_and_measurements, corrected),
    Reader("measurements", "measurements.csv", "csv", records_and_measurements, corrected),
    Reader("configuration", "config.json", "json", content("config.json", CONFIG), switched),
    Reader("plan", "plan.json", "json", lambda folder: plan().save(folder / "plan.json"), loaded_plan),
    Reader(
        "plan, hashed anew", "p.json", "json", lambda folder: plan().save(folder / "p.json"), loaded_plan, hashed_anew
    ),
    Reader(
        "plan of means", "p.json", "json", lambda folder: mean_plan().save(folder / "p.json"), loaded_plan, hashed_anew
    ),
    Reader(
        "run of counts", "run.json", "json", content("run.json", started(COUNTS, [1, 0, 1])), run_state, unnamed=True
    ),
    Reader(
        "run of means",
        "run.json",
        "json",
        content("run.json", started(suffice.Mean(at_least=1.0), [1.5, 2])),
        run_state,
        unnamed=True,
    ),
    Reader("rows of another language", "rows.jsonl", "jsonl", foreign_rows, ingested, lenient=True),
    Reader("metrics", "metrics.json", "json", content("metrics.json", METRICS), metrics),
    Reader("older metrics", "metrics.json", "json", content("metrics.json", OLDER_METRICS), metrics),
    Reader(
        "grid",
        "grid.json",
        "json",
        content("grid.json", '{"small_noise": {"noise": [0.1, 0.2]}}'),
        lambda path: read_grid(path, SCENARIOS),
    ),
    Reader("sweep: table", RESULTS, "csv", sweep_folder, checked_sweep),
    Reader("sweep: report", REPORT, "json", sweep_folder, checked_sweep),
    Reader("manifest", "bundle/MANIFEST", "bytes", bundle, folder_of(check)),
    Reader("bundle: decisions", "bundle/disagreements.jsonl", "jsonl", bundle, folder_of(reproduce), vouched_for),
    Reader("bundle: audits", "bundle/audits.jsonl", "jsonl", bundle, folder_of(explained), vouched_for),
    Reader("bundle: plan", "bundle/plan.json", "json", bundle, folder_of(reproduce), vouched_for),
    Reader("flag", "flag.json", "json", content("flag.json", to_text(EXPOSURE, 7)), published),
    Reader(
        "flag, as it lowers",
        FLAG_FILE,
        "json",
        content(FLAG_FILE, to_text(None, 7)),
        folder_of(lambda f: LoweringFiles(f).read()),
        lenient=True,
    ),
    Reader(
        "asked rollback",
        ASKED_FILE,
        "json",
        content(ASKED_FILE, '{"who": "ann", "reason": "x"}'),
        folder_of(wish),
        lenient=True,
    ),
    Reader("note of the store", NAME, "json", lambda folder: write_note(folder, Note("i", 5, 7)), folder_of(read_note)),
    Reader("address of the store", NOTE, "bytes", lambda folder: note_store(folder, "postgresql://h/d"), told_address),
    Reader(
        "spool", "s.jsonl", "jsonl", content("s.jsonl", json.dumps(plain_row(SPOOLED)) + "\n"), spooled, lenient=True
    ),
    Reader(
        "features of a decision",
        "f.json",
        "json",
        content("f.json", '{"size": 3, "model": "b"}'),
        features,
        unnamed=True,
    ),
    Reader("answer of a check", "smoke.json", "json", checks, judged, lenient=True),
    column("audit_events.numbers", lambda connection: journal_of(connection, "r")),
    column("outbox.payload", lambda connection: due(connection, 5.0, 5.0)),
    column("provenance.payload", lambda connection: [provenance_of(connection, "t"), rebuilt(connection)]),
    column("provenance.payload", lambda connection: resolved_content(connection, ["k"]), " of a resolution"),
    column("records.derived_from", lambda connection: load_records(connection, ["t"])),
    column("rollups.counts", lambda connection: load_rollup(connection, "r")),
    Reader("beginning of a check", "smoke.begun", "bytes", checks, judged, lenient=True),
]

BY_NAME = {reader.name: reader for reader in READERS}
