"""What people read on a terminal: tables, lines, percentages, progress; and the JSON that programs read instead.

A terminal that lacks a sign (≤ in cp1252, all but ASCII in the C locale) is given its spelling. Rich is imported when a
table or a line is shown, and not before.
"""

import codecs
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

T = TypeVar("T")

_SPELLING = "suffice"
_DAYS_FROM = 3
COLOURS = {"Successful": "green", "Inconclusive": "yellow", "Error": "magenta", "Failed": "red"}
"""How the answers of gates are coloured."""
_SPELT = {
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "±": "+-",
    "×": "x",
    "÷": "/",
    "·": "-",
    "→": "->",
    "∞": "inf",
    "−": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "“": '"',
    "”": '"',
    "„": '"',
    "‘": "'",
    "’": "'",
    "•": "*",
    "\u00a0": " ",
    "\u202f": " ",
    "\u2009": " ",
    "²": "^2",
    "√": "sqrt ",
    "µ": "u",
    "°": " deg",
    "ε": "epsilon",
    "α": "alpha",
    "δ": "delta",
    "λ": "lambda",
    "θ": "theta",
    "φ": "phi",
    "π": "pi",
    "Σ": "sum ",
}


def _spelt(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(_SPELT.get(letter) or letter.encode("unicode_escape").decode() for letter in letters), error.end


codecs.register_error(_SPELLING, _spelt)


def spell_what_is_not_there() -> None:
    """From now on standard output and error spell what their encoding lacks, where they would raise."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_SPELLING)


def out() -> "Console":
    """Standard output, for what a terminal is shown."""
    from rich.console import Console

    return Console()


def visible(text: str) -> str:
    """The text with what no terminal shows (control characters, marks that turn the direction) escaped, and what this
    one lacks spelt; line breaks and tabs stay: a key or a region may have come from anywhere."""
    if not text.isprintable():
        text = "".join(letter if _is_shown(letter) else letter.encode("unicode_escape").decode() for letter in text)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text if text.isascii() else text.encode(encoding, _SPELLING).decode(encoding)


def _is_shown(letter: str) -> bool:
    return letter.isprintable() or (letter.isspace() and letter in "\n\t\u00a0\u202f\u2009")


def print_error(sentence: object) -> None:
    """One line on standard error."""
    sys.stdout.flush()
    sys.stderr.write(f"suffice: {visible(str(sentence))}\n")
    sys.stderr.flush()


def redraw() -> None:
    """Clear a terminal, for what is shown again and again; a file or a pipe is left as it is."""
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[H\x1b[2J")


def print_json(value: Any) -> None:
    """One JSON value on standard output; NaN and infinity are refused."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def print_lines(*lines: str) -> None:
    """Lines, each in one piece however long it is."""
    sys.stdout.writelines(f"{visible(line)}\n" for line in lines)


def print_marked(line: str, word: str, colour: str) -> None:
    """A line in one piece; on a terminal that shows colours the word's first place in it is coloured."""
    if not sys.stdout.isatty():
        print_lines(line)
        return
    from rich.text import Text

    text = Text(visible(line))
    at = text.plain.find(word)
    text.stylize(colour, at, at + len(word))
    out().print(text, soft_wrap=True)


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]], *, left: int = 1) -> None:
    """A table with its first `left` columns left and the others right.

    Where the terminal is too narrow for its longest words, each row is a paragraph instead: no word is ever cut. A file
    or a pipe gets each row as one line, however long: whatever reads it finds a row by one word of it.
    """
    heads, cells = [visible(column) for column in columns], [[visible(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        print_lines(title, *_lines(heads, cells, left))
        return
    from rich.markup import escape

    console = out()
    console.print(f"[bold]{escape(visible(title))}[/bold]", highlight=False, soft_wrap=True)
    widths = _widths(list(zip(heads, *cells, strict=True)), console.width)
    console.print(_table(heads, cells, widths, left) if widths else _paragraphs(heads, cells))


def _lines(heads: list[str], rows: list[list[str]], left: int) -> list[str]:
    """The rows of a table below its heads, a line each."""
    table = [[" ".join(cell.split()) for cell in row] for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = (
        "  ".join(f"{cell:<{width}}" if i < left else f"{cell:>{width}}" for i, (cell, width) in enumerate(columns))
        for columns in (zip(row, widths, strict=True) for row in table)
    )
    return [line.rstrip() for line in lines]


def _widths(columns: list[tuple[str, ...]], room: int) -> list[int]:
    """How wide each column of a table is, so that it fits and cuts no word; empty where it cannot."""
    least = [max(len(word) for cell in column for word in (cell.split() or [""])) for column in columns]
    widths = [max(map(len, column)) for column in columns]
    lines = 3 * len(columns) + 1
    while sum(widths) + lines > room:
        slack, widest = max((width - low, i) for i, (width, low) in enumerate(zip(widths, least, strict=True)))
        if slack == 0:
            return []
        widths[widest] -= 1
    return widths


def _table(heads: list[str], rows: list[list[str]], widths: list[int], left: int) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for i, (head, width) in enumerate(zip(heads, widths, strict=True)):
        table.add_column(head, justify="left" if i < left else "right", width=width)
    for row in rows:
        table.add_row(*(Text(cell, COLOURS.get(cell, "")) for cell in row))
    return table


def _paragraphs(heads: list[str], rows: list[list[str]]) -> "Text":
    from rich.text import Text

    wide = max(map(len, heads))
    return Text(
        "\n\n".join("\n".join(f"{head:<{wide}}  {cell}" for head, cell in zip(heads, row, strict=True)) for row in rows)
    )


def percent(share: float | None, digits: int = 2) -> str:
    """A share as a percentage; a dash for what is not known."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def counted(count: int, share: float | None) -> str:
    """A count, and the share that it is of all where there are any."""
    return f"{count:,}" if share is None else f"{count:,} = {percent(share)}"


def duration(seconds: float) -> str:
    """So many seconds by their two largest units, like `3 h 12 min`; days from three of them on."""
    rest, words = round(max(seconds, 0.0)), list[str]()
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if unit == "d" and rest < _DAYS_FROM * size:
            continue
        count, rest = divmod(rest, size)
        words.append(f"{count} {unit}" if count else "")
    begun = next((i for i, word in enumerate(words) if word), len(words) - 1)
    return " ".join(filter(None, words[begun : begun + 2])) or "0 s"


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
