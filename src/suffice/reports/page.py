"""What all reports share: one HTML file that refers to nothing outside of it, in one look, with tables and plots
inline."""

import re
import warnings
from dataclasses import dataclass
from typing import Any

from suffice.extras import imported_for
from suffice.reports import plots
from suffice.stopping.budget import Budget

with imported_for("a report"):
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from matplotlib.figure import Figure

_INKS = {
    "ink": plots.INK,
    "muted": plots.MUTED,
    "grid": plots.GRID,
    "card": plots.PAPER,
    "accept": plots.ACCEPT,
    "reject": plots.REJECT,
    **{f"series-{i}": colour for i, colour in enumerate(plots.SERIES)},
}


@dataclass(frozen=True, slots=True)
class Table:
    """Text for a table; the first column names the row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def page(template: str, package: str = "suffice.reports", /, **values: Any) -> str:
    """The page that a template of this package makes of the values; text among them stays text, whatever is in it."""
    templates = ChoiceLoader([PackageLoader(package), PackageLoader("suffice.reports")])
    pages = Environment(
        loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return pages.get_template(template).render(inks=_INKS, percent=percent, **values)


def inline(figure: Figure, name: str) -> Markup:
    """The figure's SVG for a place inside a page: colours become the page's, so that they follow light and dark; group
    ids go, for they stand in every figure."""
    with warnings.catch_warnings():
        # Which letters there are is up to the reader's fonts, not to the one that matplotlib measures with.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        text = plots.rendered(figure, "svg", salt=f"suffice {name}").decode()
    svg = text[text.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    for ink, colour in _INKS.items():
        svg = svg.replace(colour, f"var(--{ink})")
    return Markup(svg.strip())


def percent(share: float | None, digits: int = 2) -> str:
    """A share as a percentage, unbroken at the end of a line; a dash for what is not known."""
    return "–" if share is None else f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def allowed(bound: float | dict[str, float]) -> str:
    """A bound on disagreement, with its sides where it is split by direction."""
    budget = Budget.of(bound)
    if budget.accept == budget.reject:
        return f"{100 * budget.largest:g}\N{NO-BREAK SPACE}%"
    sides = {"accept": budget.accept, "reject": budget.reject}
    return ", ".join(f"{side} {100 * share:g}\N{NO-BREAK SPACE}%" for side, share in sides.items())
