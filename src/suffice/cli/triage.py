"""`suffice triage`: look at frozen evidence, and see a difference happen again."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suffice.cli import options
from suffice.errors import MissingDataError, RolloutError

if TYPE_CHECKING:
    from suffice.store.database import Store
    from suffice.store.triage import TriageItem

app = typer.Typer(
    help="What was rolled back: the items, their frozen evidence, and a difference that happens again.",
    no_args_is_help=True,
)

Queue = Annotated[Path, typer.Option(help="The folder of the store that holds the items.")]
Bundle = Annotated[Path, typer.Argument(metavar="ITEM", help="An item's id, or a bundle's folder.")]
Item = Annotated[str, typer.Argument(help="The item's id, as `suffice triage list` prints it.")]

QUEUE = Path("TemporaryQueue")


@app.command("list")
def list_items(
    every: Annotated[bool, typer.Option("--all", help="Also those that are closed.")] = False,
    queue: Queue = QUEUE,
    store: options.StoreUrl = None,
    json: options.Json = False,
) -> int:
    """The open items, one for each rollout that was rolled back."""
    from dataclasses import asdict

    from suffice.cli.console import print_json, print_table
    from suffice.store.triage import items

    with _store(queue, store) as opened, opened.read() as connection:
        found = items(connection, closed=every)
    if json:
        print_json([{**asdict(item), "open": item.open} for item in found])
    else:
        rows = ((item.id, item.stage, "open" if item.open else "closed", item.reason) for item in found)
        print_table("Triage", ("item", "stage", "state", "why it was rolled back"), rows)
    return 0


@app.command("show")
def show(item: Item, queue: Queue = QUEUE, store: options.StoreUrl = None, json: options.Json = False) -> int:
    """An item: why, which gates failed, where its evidence is, and the commands to begin with."""
    from dataclasses import asdict

    from suffice.cli.console import print_json

    found = _item(item, queue, store)
    text = Path(found.bundle) / "TRIAGE.md"
    if json:
        print_json({**asdict(found), "open": found.open, "intact": text.is_file()})
        return 0
    closed = "" if found.open else f"Closed by {found.closed_by}: {found.note}\n\n"
    missing = f"{found.id} ({found.stage}): {found.reason}\nIts bundle {found.bundle} is not there any more.\n"
    sys.stdout.write(closed + (text.read_text(encoding="utf-8") if text.is_file() else missing))
    return 0


@app.command("close")
def close(
    item: Item,
    note: Annotated[str, typer.Option(help="What it was, and what was done about it.")],
    who: Annotated[str | None, typer.Option(help="Who says so (default: the user of this process).")] = None,
    queue: Queue = QUEUE,
    store: options.StoreUrl = None,
    json: options.Json = False,
) -> int:
    """Close an item, with what it was. The bundle stays; from then on retention may remove the rollout's old rows."""
    import time

    from suffice.cli.console import print_json
    from suffice.cli.options import user
    from suffice.store.actions import Action
    from suffice.store.journal import JournalEvent, append_journal
    from suffice.store.triage import close_item

    found, now, said = _item(item, queue, store), time.time(), who or user()
    with _store(queue, store) as opened, opened.write() as connection:
        closed = close_item(connection, found.id, now, said, note)
        if closed:
            append_journal(connection, [JournalEvent(now, found.id, said, Action.CLOSE, note)])
    if not closed:
        raise RolloutError(f"item {found.id} is closed already, by {found.closed_by}: {found.note}")
    if json:
        print_json({"item": found.id, "closed_by": said, "note": note})
    else:
        sys.stdout.write(f"{found.id} is closed\n")
    return 0


@app.command("check")
def check(bundle: Bundle, queue: Queue = QUEUE, store: options.StoreUrl = None, json: options.Json = False) -> int:
    """Check every file of a bundle against its manifest. Exits 2 when one was changed, added or removed."""
    from suffice.cli.console import print_json
    from suffice.triage.manifest import check as check_bundle

    bundle = _bundle(bundle, queue, store)
    count = check_bundle(bundle)
    if json:
        print_json({"bundle": str(bundle), "files": count, "intact": True})
    else:
        sys.stdout.write(f"{count} files are as they were frozen\n")
    return 0


@app.command("reproduce")
def reproduce(
    bundle: Bundle,
    key: Annotated[str | None, typer.Option(help="The decision [default: the bundle's first].")] = None,
    queue: Queue = QUEUE,
    store: options.StoreUrl = None,
    json: options.Json = False,
) -> int:
    """Decide a disagreeing decision of a bundle again from its seed, and print both paths look by look.

    Exits 0 when the difference is seen again, 2 when it is not.
    """
    from suffice.cli.console import print_json, print_table
    from suffice.rehearsal.faults import feed_of
    from suffice.triage.reproduce import reproduce as reproduced

    found = reproduced(_bundle(bundle, queue, store), key, feed_of=feed_of)
    if json:
        print_json(found)
    else:
        rows = ((str(look["n"]), _number(look["baseline"]), _number(look["adaptive"])) for look in found["looks"])
        title = (
            f"{found['key']}: fixed {found['baseline']} after {found['baseline_n']}, "
            f"adaptive {found['adaptive']} after {found['adaptive_n']}"
        )
        print_table(title, ("draws", "fixed sees", "adaptive sees"), rows)
    return 0 if found["differs"] else 2


def _store(queue: Path, url: str | None) -> "Store":
    from suffice.store.address import store_of
    from suffice.store.database import open_store

    return open_store(store_of(queue, url), create=False)


def _item(item: str, queue: Path, url: str | None) -> "TriageItem":
    from suffice.store.triage import item_of

    with _store(queue, url) as store, store.read() as connection:
        found = item_of(connection, item)
    if found is None:
        raise MissingDataError(f"{store.name}: there is no triage item {item}; suffice triage list shows them")
    return found


def _bundle(given: Path, queue: Path, url: str | None) -> Path:
    """A folder as it is; anything else is an item's id."""
    return given if given.is_dir() or len(given.parts) > 1 else Path(_item(str(given), queue, url).bundle)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"
