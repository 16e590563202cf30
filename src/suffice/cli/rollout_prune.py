"""`suffice rollout prune`: old decisions of rollouts that are over leave the ledger."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.terminal import print_lines

if TYPE_CHECKING:
    from suffice.store.retention import Kept, Pruned


def prune(
    older_than: Annotated[str, typer.Option(metavar="DURATION", help='The age from which decisions go: "90d", "24h".')],
    where: options.StoreOptions,
    dry_run: options.DryRun = False,
) -> Answer:
    """Remove old decisions of rollouts that are over, or of none, from the ledger.

    Decisions of a rollout that is not over, or whose triage item is open, stay. So do roll-ups, the journal and
    bundles. It takes the store's lock for a short time only, again and again.

    Example: suffice rollout prune --older-than 90d --dry-run
    """
    from suffice.store.retention import prune as prune_store

    before = time.time() - options.seconds("--older-than", older_than)
    with where.existing(upgrade=not dry_run) as store:
        pruned = prune_store(store, before, dry_run=dry_run)
    removed = dict(sorted(pruned.removed.items()))
    kept = [
        {"rollout": rollout, "decisions": count, "why": why.value} for (rollout, why), count in _sorted(pruned.kept)
    ]
    plain = {"before": before, "dry_run": dry_run, "removed": removed, "kept": kept}
    return Answer(plain, lambda: print_lines(*_lines(pruned, dry_run=dry_run)))


def _lines(pruned: "Pruned", *, dry_run: bool) -> list[str]:
    verb = "would be removed" if dry_run else "removed"
    removed = sorted(pruned.removed.items())
    lines = [f"{count:,} decisions of {rollout or 'no rollout'} {verb}" for rollout, count in removed]
    lines += [
        f"{count:,} decisions of {rollout or 'no rollout'} kept: {why.value}"
        for (rollout, why), count in _sorted(pruned.kept)
    ]
    return lines or ["no decision is that old"]


def _sorted(kept: "Mapping[tuple[str, Kept], int]") -> list[tuple[Any, int]]:
    return sorted(kept.items(), key=lambda entry: (entry[0][0], entry[0][1].name))
