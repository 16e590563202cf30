"""One bundle of evidence, of a rollback in production and in a rehearsal alike.

It holds what the runner saw last, what the store and the flag say, and what is needed to decide a disagreeing decision
again. What went with a rollout that was deleted is left out.
"""

import json
import platform
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any, TypeAlias

from suffice.config import parse
from suffice.errors import OutputError
from suffice.evidence.failures import failures_of, listed
from suffice.files import read_whole, write_atomically
from suffice.gates.outcome import GateResult
from suffice.serving.counted import counters_of
from suffice.sources.recipe import Recipe
from suffice.stopping.plan import Plan
from suffice.store.database import Store
from suffice.store.decision_row import DecisionRow, plain_row
from suffice.store.journal import journal_head, journal_of
from suffice.store.ledger import Ledger
from suffice.store.triage import receipt_of
from suffice.telemetry.metrics_file import to_text
from suffice.triage.cause import Cause, Explanation, explain, rolled_back_by
from suffice.triage.manifest import freeze

PACKAGES = ("numpy", "scipy", "openfeature-sdk", "openfeature-provider-flagd", "sqlalchemy", "suffice")

AUDITS_FILE, DISAGREEMENTS = "audits.jsonl", "disagreements.jsonl"
AUDITS = 50_000
"""Audits of the failing stage that a bundle holds, the newest."""

ROWS = 10_000
"""Ledger rows of the failing stage that a bundle holds, the newest; disagreements are all in it."""

_TEMPLATE = Path(__file__).with_name("templates") / "TRIAGE.md"

Cases: TypeAlias = Sequence[tuple[DecisionRow, Recipe]]
"""Decisions, each with what its case can be made of again."""


@dataclass(frozen=True, slots=True)
class Faulty:
    """What the adaptive path really runs where a rehearsal makes it faulty: the fault's name, and the plan."""

    name: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class LastView:
    """What the runner saw last, as plain JSON values; None is what went with a rollout that was deleted.

    `gates` and `evidence` are of the last cycle, `plan` and `config` what the rollout was started with, `outputs` what
    its checks left, by file name.
    """

    gates: Sequence[Mapping[str, Any]]
    evidence: Mapping[str, Any]
    state: Mapping[str, Any] | None = None
    plan: Mapping[str, Any] | None = None
    config: Mapping[str, Any] | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    faulty: Faulty | None = None


@dataclass(frozen=True, slots=True)
class Rollback:
    """A rollback whose baseline was observed.

    `command` gives what a person types for words like "triage show r-1". `view` and `cases` are asked only when the
    bundle is frozen; `cases` gives those of some decisions that can be decided again.
    """

    rollout: str
    stage: str
    reason: str
    failed: tuple[GateResult, ...]
    view: Callable[[], LastView]
    command: Callable[[str], str]
    cases: Callable[[list[DecisionRow]], Cases] = lambda _: ()


def freeze_rollback(bundle: Path, rollback: Rollback, store: Store, flag: Path) -> None:
    """Freeze a rollback's evidence as the folder `bundle`, whole or not at all; a bundle that is there stays.

    Raises OutputError when a file cannot be read or written, StoreError.
    """
    if bundle.exists():
        return
    files = _files(bundle, rollback, store, flag)
    with store.read() as connection:
        head = journal_head(connection)
    # Beside the bundle, whose files are those of one moment: what shows later that the whole journal was rewritten.
    write_atomically(bundle.with_name(f"{bundle.name}.journal-head"), f"{head}\n")
    try:
        freeze(bundle, files)
    except OutputError:
        # Another process may have frozen it in the meantime; both saw the same rows.
        if not bundle.exists():
            raise


def plan_file(plan_id: str) -> str:
    """Where a bundle keeps a plan that is not the rollout's own."""
    return f"plans/{plan_id}.json"


def _files(bundle: Path, rollback: Rollback, store: Store, flag: Path) -> dict[str, str]:
    view, ledger, rollout, stage = rollback.view(), Ledger(store), rollback.rollout, rollback.stage
    differing = ledger.disagreements(rollout, stage)
    cases = [_plain_case(row, recipe, view.faulty) for row, recipe in rollback.cases(differing)]
    audits = [_by_plan_that_ran(row, view.faulty) for row in ledger.audits(rollout, stage, AUDITS)]
    rows = [*differing, *(row for row in ledger.latest(rollout, stage, ROWS) if row.agrees is not False)]
    with store.read() as connection:
        receipt, events = receipt_of(connection, rollout), journal_of(connection, rollout)
        failures = failures_of(connection, rollout, stage)
    return {
        "gates.json": _json(view.gates),
        "evidence.json": _json(view.evidence),
        **{name: _json(value) for name, value in _started_with(view).items() if value is not None},
        **_fault_plan(view),
        **{f"checks/{name}": text for name, text in view.outputs.items()},
        "receipt.json": _json(asdict(receipt) if receipt else None),
        "flag.json": _text_of(flag),
        "environment.json": _json(_environment()),
        "ledger.jsonl": _lines(map(plain_row, rows)),
        AUDITS_FILE: _lines(map(plain_row, audits)),
        DISAGREEMENTS: _lines(cases),
        "events.jsonl": _lines(map(asdict, events)),
        "metrics.json": to_text(counters_of(ledger.each_row(rollout)).snapshot()),
        "TRIAGE.md": _triage_text(
            bundle,
            rollback,
            list(view.outputs),
            failures,
            rolled_back_by(_explained(view, audits), rollback.failed),
            len(differing),
            cases[0]["key"] if cases else None,
        ),
    }


def _started_with(view: LastView) -> dict[str, Mapping[str, Any] | None]:
    return {"state.json": view.state, "plan.json": view.plan, "config.json": view.config}


def _fault_plan(view: LastView) -> dict[str, str]:
    faulty = view.faulty
    if faulty is None or (view.plan is not None and faulty.plan.id == view.plan["id"]):
        return {}
    return {plan_file(faulty.plan.id): _json(faulty.plan.to_dict())}


def _by_plan_that_ran(row: DecisionRow, faulty: Faulty | None) -> DecisionRow:
    """Under a fault, rows claim the plan of the rollout."""
    return replace(row, plan_id=faulty.plan.id) if faulty else row


def _explained(view: LastView, audits: Sequence[DecisionRow]) -> Explanation:
    plans = [*([Plan.from_dict(view.plan)] if view.plan else []), *([view.faulty.plan] if view.faulty else [])]
    if view.config is None:
        return explain(audits, plans, None)
    config = parse(json.dumps(view.config), "what the rollout was started with")
    return explain(audits, plans, config.rollout.acceptance.max_disagreement_rate)


def _environment() -> dict[str, str]:
    """The versions that were at work."""
    packages = {package: version(package) for package in PACKAGES}
    return {"python": platform.python_version(), "system": platform.system(), **packages}


def _plain_case(row: DecisionRow, recipe: Recipe, faulty: Faulty | None) -> dict[str, Any]:
    """A disagreeing decision with all that is needed to decide it again, by the plan that really ran."""
    plain = plain_row(row)
    return {
        "key": row.key,
        "target": row.target,
        **recipe,
        "seed": row.seed,
        "baseline": plain["baseline_decision"],
        "adaptive": plain["adaptive_decision"],
        "n": row.adaptive_n,
        "plan_id": faulty.plan.id if faulty else row.plan_id,
        "fault": faulty.name if faulty else None,
    }


def _triage_text(
    bundle: Path,
    rollback: Rollback,
    outputs: Sequence[str],
    failures: Mapping[str, int],
    explanation: Explanation,
    differing: int,
    first: str | None,
) -> str:
    """The triage item, in Markdown: why, which gates, the cause, why the adaptive path failed, what the checks printed,
    and the commands to begin with."""
    command, quoted, folder = rollback.command, shlex.quote(rollback.rollout), shlex.quote(str(bundle))
    again = command(f"triage reproduce {quoted} --key {shlex.quote(first)}") if first else ""
    messages = "".join(f"- {line}\n" for line in listed(failures))
    failed = [f"- {result.gate}: {result.sentence}" for result in rollback.failed]
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        rollout=rollback.rollout,
        stage=rollback.stage,
        reason=rollback.reason,
        gates="\n".join(failed or ["- none: a person asked for it"]),
        differing=differing,
        cause=explanation.text,
        # It exits 3 where nobody can tell, and would end a shell that was told to.
        explained="" if explanation.cause is Cause.UNKNOWN else command(f"triage explain {quoted}") + "\n",
        failures=f"The adaptive path failed with, most often first:\n{messages}\n" if messages else "",
        checked=command(f"triage check {folder}"),
        begin=again or ("# no disagreeing decision can be rebuilt" if differing else "# no audited decision differs"),
        history=command(f"rollout history --rollout {quoted}"),
        close=command(f"triage close {quoted} --note 'what it was'"),
        printed=f"What the checks printed: {', '.join(f'`checks/{name}`' for name in outputs)}.\n\n" if outputs else "",
    )


def _text_of(path: Path) -> str:
    try:
        return read_whole(path).decode()
    except OSError as error:
        raise OutputError(f"{path}: cannot be frozen: {error.strerror or error}") from error


def _lines(values: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"
