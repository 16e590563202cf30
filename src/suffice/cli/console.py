"""Tables, progress and JSON on the terminal."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

T = TypeVar("T")

_WIDTH_OF_A_FILE = 132


def out() -> Console:
    """Standard output; a file or a pipe gets a fixed width and no colours."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDTH_OF_A_FILE, color_system=None)


def print_json(value: Any) -> None:
    """One JSON value on standard output; NaN and infinity are refused."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """A table with its first column left and the others right."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*map(escape, row))
    out().print(table)


def track(items: Iterable[T], total: int | None, what: str) -> Iterator[T]:
    """The items, with a progress bar on standard error when it is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(items, total=total, description=what)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, float], None]]:
    """Takes how many cases are done and the share of all that they are; shows both with the rate and the remaining
    time, on standard error when it is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _cases, _share: None
        return
    counts = TextColumn("{task.fields[cases]:,} cases, {task.fields[rate]:,.0f}/s")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), counts, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=1.0, cases=0, rate=0.0)

        def update(cases: int, share: float) -> None:
            elapsed = shown.tasks[0].elapsed or 0.0
            shown.update(task, completed=share, cases=cases, rate=cases / elapsed if elapsed > 0 else 0.0)

        yield update


def percent(share: float | None, digits: int = 2) -> str:
    """A share as a percentage; a dash for what is not known."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"
