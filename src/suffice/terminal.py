"""What people read on a terminal: tables, lines, percentages, progress; and the JSON that programs read instead.

Rich is imported when a table or a line is shown, and not before.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

_WIDTH_OF_A_FILE = 132


def out() -> "Console":
    """Standard output; a file or a pipe gets a fixed width and no colours."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=_WIDTH_OF_A_FILE, color_system=None)


def visible(text: str) -> str:
    """The text with what no terminal shows (control characters, marks that turn the direction) escaped; line breaks
    and tabs stay: a key or a region may have come from anywhere."""
    if text.isprintable():
        return text
    return "".join(letter if _is_shown(letter) else letter.encode("unicode_escape").decode() for letter in text)


def _is_shown(letter: str) -> bool:
    return letter.isprintable() or (letter.isspace() and letter in "\n\t\u00a0\u202f\u2009")


def print_error(sentence: object) -> None:
    """One line on standard error."""
    sys.stdout.flush()
    sys.stderr.write(f"suffice: {visible(str(sentence))}\n")
    sys.stderr.flush()


def print_json(value: Any) -> None:
    """One JSON value on standard output; NaN and infinity are refused."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def print_lines(*lines: str) -> None:
    """Lines, each in one piece however long it is."""
    sys.stdout.writelines(f"{visible(line)}\n" for line in lines)


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """A table with its first column left and the others right."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*(escape(visible(cell)) for cell in row))
    out().print(table)


def percent(share: float | None, digits: int = 2) -> str:
    """A share as a percentage; a dash for what is not known."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def track(items: Iterable[T], total: int | None, what: str) -> Iterator[T]:
    """The items, with a progress bar on standard error when it is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield from bar.track(items, total=total, description=what)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, float], None]]:
    """A function that takes how many cases are done, and their share of all.

    It shows both on standard error when that is a terminal, with the rate and the time that remains.
    """
    if not sys.stderr.isatty():
        yield lambda _cases, _share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    counts = TextColumn("{task.fields[cases]:,} cases, {task.fields[rate]:,.0f}/s")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), counts, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=1.0, cases=0, rate=0.0)

        def update(cases: int, share: float) -> None:
            elapsed = bar.tasks[0].elapsed or 0.0
            bar.update(task, completed=share, cases=cases, rate=cases / elapsed if elapsed > 0 else 0.0)

        yield update
