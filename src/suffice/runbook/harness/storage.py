"""Cases about what is kept: provenance, the store, the configuration."""

from collections.abc import Mapping
from dataclasses import replace
from math import isnan, nan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from suffice.config import Config, load, parse, set_enabled
from suffice.decision.rule import Decision
from suffice.errors import ConfigError
from suffice.resolution.review import add_records
from suffice.runbook.harness.case import CaseFailed, Context
from suffice.runbook.harness.workload import TARGETS
from suffice.store.database import open_store
from suffice.store.decision_row import DecisionRow, Reason
from suffice.store.ledger import Ledger
from suffice.store.records import Record, Status, load_records
from suffice.telemetry.counters import Counter
from suffice.verifier.arm import Arm


def reference_workload(context: Context) -> str:
    """Plain corrections, resolved as production does: no storm, no fallback, and what is clear is committed."""
    workload = context.workload
    escalated, fallen_back = (workload.counts.counters[name] for name in (Counter.ESCALATIONS, Counter.FALLBACKS))
    what = (
        f"{workload.summary.committed} of {workload.summary.corrections} corrections are committed, "
        f"{escalated} targets escalate, {fallen_back} decisions fell back"
    )
    if escalated or fallen_back or workload.summary.committed < TARGETS:
        raise CaseFailed(f"{what}; needed: at least {TARGETS}, 0 and 0")
    return what


def provenance_chain(context: Context) -> str:
    """The reference workload leaves a chain that holds and tells all, and an edited event in it is found."""
    workload = context.workload
    if not workload.chain.intact:
        raise CaseFailed(f"the chain breaks at event {workload.chain.broken_seq}: {workload.chain.what}")
    if workload.untold:
        raise CaseFailed(f"{len(workload.untold)} of {TARGETS} targets have events that do not tell what happened")
    if workload.after_edit.broken_seq != workload.edited:
        raise CaseFailed(f"event {workload.edited} was edited; found: {workload.after_edit.broken_seq}")
    return (
        f"{workload.chain.verified} events of {workload.summary.corrections} corrections hold; an edited one is found"
    )


def store_round_trip(context: Context) -> str:
    """Records and decisions come back from a reopened store as they were, and a retry doubles nothing."""
    at = context.now.timestamp()
    part = Record("part", 1.5, 0.1, 0.2, "bench 1", "2001")
    whole = Record("whole", 3.0, 0.2, 0.4, None, "2002", (("part", 2.0),))
    row = DecisionRow(
        *("a", "part", Arm.ADAPTIVE, Decision.ACCEPTED, 16, 256, 0.9375, Reason.ACCEPT_BOUNDARY),
        *(context.seed, "plan", at),
    )
    rows = [row, replace(row, key="b", decision=Decision.INVALID, estimate=nan, invalid=True)]
    with TemporaryDirectory(prefix="suffice-") as folder:
        path = Path(folder) / "store.sqlite"
        with open_store(path) as store:
            add_records(store, [part, whole], at)
            written = [Ledger(store).append(rows) for _ in range(2)]
        with open_store(path, create=False) as store:
            with store.read() as connection:
                records = load_records(connection, ["part", "whole"])
            reread = Ledger(store).rows("")
    if written != [2, 0]:
        raise CaseFailed(f"writing 2 decisions twice added {written}; needed: [2, 0]")
    if records != {"part": part, "whole": whole} or part.status is not Status.ACTIVE:
        raise CaseFailed(f"the records read back are {records}")
    if (
        reread[0] != row
        or not isnan(reread[1].estimate)
        or replace(reread[1], estimate=0.0) != replace(rows[1], estimate=0.0)
    ):
        raise CaseFailed(f"the decisions read back are {reread}")
    return "2 records and 2 decisions come back as they were; a retry doubles nothing"


def config_round_trip(context: Context) -> str:
    """Switching `enabled` there and back changes nothing else, and a misspelt section is refused."""
    with TemporaryDirectory(prefix="suffice-") as folder:
        path = Path(folder) / "config.json"
        path.write_bytes(context.config_text.encode())
        was = context.config.verifier.adaptive_sampling.enabled
        for enabled in (not was, was):
            set_enabled(path, enabled)
            if _without_enabled(load(path)) != _without_enabled(context.config):
                raise CaseFailed(f"setting enabled to {str(enabled).lower()} changed something else")
            if load(path).verifier.adaptive_sampling.enabled is not enabled:
                raise CaseFailed(f"enabled was set to {str(enabled).lower()} and is not")
    dumped = context.config.model_dump_json()
    if parse(dumped, "dumped") != context.config:
        raise CaseFailed("the configuration, written and read, is not the same")
    try:
        parse(dumped.replace('"verifier"', '"verifierr"', 1), "misspelt")
    except ConfigError:
        return "enabled switches there and back and nothing else changes; a misspelt section is refused"
    raise CaseFailed("a section verifierr was not refused")


def _without_enabled(config: Config) -> Mapping[str, Any]:
    dumped = config.model_dump()
    del dumped["verifier"]["adaptive_sampling"]["enabled"]
    return dumped
