"""`suffice rollout prune`: old decisions of rollouts that are over leave the ledger."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suffice.cli import options
from suffice.errors import RolloutError

if TYPE_CHECKING:
    from suffice.store.retention import Pruned

QUEUE = Path("TemporaryQueue")


def prune(
    older_than: Annotated[str, typer.Option(help='The age from which decisions go: "90d", "24h".')],
    queue: Annotated[Path, typer.Option(help="The folder of store.db.")] = QUEUE,
    store: options.StoreUrl = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; remove nothing.")] = False,
    json: options.Json = False,
) -> int:
    """Remove old decisions of rollouts that are over, or of none, from the ledger.

    Decisions of a rollout that is not over, or whose triage item is open, stay. So do roll-ups, audit events and
    bundles. Takes the store's lock for a short time only, again and again.
    """
    import time

    from suffice.cli.console import print_json
    from suffice.store.address import store_of
    from suffice.store.database import open_store
    from suffice.store.retention import prune as prune_store

    before = time.time() - _seconds(older_than)
    with open_store(store_of(queue, store), create=False) as opened:
        done = prune_store(opened, before, dry_run=dry_run)
    if json:
        print_json(_plain(done, before, dry_run=dry_run))
    else:
        typer.echo("\n".join(_lines(done, dry_run=dry_run)))
    return 0


def _plain(done: "Pruned", before: float, *, dry_run: bool) -> dict[str, Any]:
    kept = [{"rollout": rollout, "decisions": count, "why": why.value} for (rollout, why), count in _kept(done)]
    return {"before": before, "dry_run": dry_run, "removed": dict(sorted(done.removed.items())), "kept": kept}


def _lines(done: "Pruned", *, dry_run: bool) -> list[str]:
    verb = "would be removed" if dry_run else "removed"
    lines = [f"{count:,} decisions of {name or 'no rollout'} {verb}" for name, count in sorted(done.removed.items())]
    lines += [f"{count:,} decisions of {name or 'no rollout'} kept: {why.value}" for (name, why), count in _kept(done)]
    return lines or ["no decision is that old"]


def _kept(done: "Pruned") -> list[Any]:
    return sorted(done.kept.items(), key=lambda it: (it[0][0], it[0][1].name))


def _seconds(text: str) -> float:
    from suffice.config import parse_duration

    try:
        return parse_duration(text).total_seconds()
    except ValueError:
        raise RolloutError(f'--older-than is {text!r}; allowed: a duration like "90d" or "24h"') from None
