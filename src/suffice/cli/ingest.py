"""`suffice ingest`: decisions of a service in another language, into the ledger."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.errors import ExitCode
from suffice.terminal import print_error, print_lines

if TYPE_CHECKING:
    from suffice.rollout.ingest import Ingested

_TOLD = 20
"""Lines that are refused, a line each; the others are counted."""


def ingest(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, one decision a line; - is standard input.")],
    *,
    service: options.Service = "verifier",
    where: options.StoreOptions,
) -> Answer:
    """Take decisions of a service in another language into the ledger; what its draws come to is decided here.

    Rows that are there already change nothing, so the same file can be given again. Lines that are refused are told
    with their numbers and put into FILE.refused; the others are written. Exits 2 when a line was refused.

    Example: suffice ingest rows.jsonl
    """
    from suffice.rollout.ingest import ingest as ingest_file
    from suffice.serving.situation import check_service

    check_service(service)
    with where.existing() as store:
        done = ingest_file(store, service, where.queue, file)
    for bad in done.refused[:_TOLD]:
        print_error(f"{file}, line {bad.number}: {bad.why}")
    if len(done.refused) > _TOLD:
        print_error(f"and {len(done.refused) - _TOLD:,} more lines that were refused")
    code = ExitCode.FAILS if done.refused else ExitCode.HOLDS
    return Answer(_plain(done), lambda: print_lines(_sentence(done)), code)


def _plain(done: "Ingested") -> dict[str, Any]:
    refused = [{"line": bad.number, "why": bad.why} for bad in done.refused]
    return {"lines": done.lines, "new": done.new, "refused": refused}


def _sentence(done: "Ingested") -> str:
    known = done.lines - done.new - len(done.refused)
    return f"{done.lines:,} lines: {done.new:,} new, {known:,} known already, {len(done.refused):,} refused"
