"""Progress on the terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from suffice.terminal import out, percent, print_json, print_table, track

__all__ = ["out", "percent", "print_json", "print_table", "progress", "track"]


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
