"""What a person sees of a rehearsal: a live view in a terminal, plain lines elsewhere, and a summary of one screen."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from suffice.gates import targets
from suffice.gates.outcome import Outcome
from suffice.rollout.report import watched_only
from suffice.terminal import COLOURS, out, percent, print_lines, print_table

if TYPE_CHECKING:
    from suffice.gates.outcome import GateResult
    from suffice.rehearsal.rehearse import Moment
    from suffice.rehearsal.setup import Setup


@contextmanager
def watching(setup: "Setup", *, quiet: bool) -> Iterator[Callable[["Moment"], None]]:
    """What to call after each cycle: it updates the live view, or prints a line when the stage or phase changes."""
    if quiet:
        yield lambda _: None
    elif sys.stdout.isatty():
        with Live(console=out(), refresh_per_second=8, transient=True) as live:
            yield lambda moment: live.update(_view(setup, moment))
    else:
        yield _Lines().tell


class _Lines:
    def __init__(self) -> None:
        self._last = ""

    def tell(self, moment: "Moment") -> None:
        state = moment.state
        now = f"{state.phase.value} {state.current.name}"
        if now != self._last:
            self._last = now
            day = f"day {moment.day:6.2f}"
            print_lines(f"{day}  {now}: {state.why} ({moment.decisions:,} decisions)")


def _view(setup: "Setup", moment: "Moment") -> Group:
    state = moment.state
    line = Text()
    for i, stage in enumerate(state.rollout.stages):
        style = "bold cyan" if i == state.stage else "green" if i < state.stage else "dim"
        line.append(f" {stage.name} {stage.weight} % ", style)
        line.append("→" if i + 1 < len(state.rollout.stages) else "", "dim")
    head = Text(
        f" {setup.source}, {setup.plan.rule.name}, method {setup.plan.method} · day {moment.day:.2f} · "
        f"{state.phase.value} · {moment.decisions:,} decisions"
    )
    return Group(head, line, _gates(moment.results), Text(f" {state.why}", "italic"))


def _gates(results: "tuple[GateResult, ...]") -> Table:
    table = Table.grid(padding=(0, 2))
    for result in results:
        outcome = result.outcome.value
        table.add_row(Text(f" {result.gate}"), Text(outcome, COLOURS[outcome]), Text(result.sentence))
    return table


def print_summary(summary: dict[str, Any], setup: "Setup") -> None:
    """One screen: how it ended, each stage, each gate of the last stage."""
    title = f"Rehearsal on {summary['source']}: {summary['status'].replace('_', ' ')} ({summary['why']})"
    columns = ("stage", "weight", "decisions", "adaptive", "audits", "differ", "proven below", "draws saved", "net")
    print_table(title, columns, (_row(stage) for stage in summary["stages"]))
    last = summary["stages"][-1]
    gates = ([gate[key] for key in ("gate", "outcome", "sentence")] for gate in last["gates"])
    print_table(
        f"Gates of stage {last['name']}", ("gate", "outcome", "what was seen, and what is allowed"), gates, left=3
    )
    saved = 1 - summary["draws"] / summary["fixed_draws"] if summary["fixed_draws"] else None
    stage = next(stage for stage in setup.config.rollout.stages if stage.name == last["name"])
    note = watched_only(stage, [gate["outcome"] for gate in last["gates"]])
    beside = f" where fixed takes {summary['fixed_draws']:,} ({percent(saved, 1)} saved over all stages)"
    few = any(gate["gate"] == targets.GATE and gate["outcome"] == Outcome.INCONCLUSIVE.value for gate in last["gates"])
    lines = [
        *([note] if note else []),
        *(["few targets: --waive targets goes without their gate, here and in suffice rollout start"] if few else []),
        f"{summary['decisions']:,} decisions about {summary['corrections']:,} {summary['arriving']}; "
        f"{summary['draws']:,} draws{beside if summary['fixed_draws'] else ''}",
        f"{_became(summary)}guarantee {summary['guarantee']}",
        f"flag answers {summary['flag']}",
    ]
    if summary["bundle"]:
        after = summary["adaptive_after_receipt"]
        lines.append(f"evidence: {summary['bundle']}; adaptive decisions after the receipt: {after}")
    lines.append(f"report: {setup.file('report.html')}")
    print_lines(*lines)


def _became(summary: dict[str, Any]) -> str:
    if summary["arriving"] == "cases":
        return ""
    stale = f"{summary['stale']:,} stale, " if summary["stale"] else ""
    resolved = f"{summary['committed']:,} committed, {summary['rolled_back']:,} rolled back, {stale}"
    return f"{resolved}{summary['escalations']:,} targets escalated; "


def _row(stage: dict[str, Any]) -> tuple[str, ...]:
    return (
        stage["name"],
        f"{stage['weight']} %" + (" shadow" if stage["shadow"] else ""),
        f"{stage['decisions']:,}",
        f"{stage['adaptive']:,}",
        f"{stage['audits']:,}",
        f"{stage['disagreements']:,}",
        percent(stage["disagreement_upper"]),
        percent(stage["sample_reduction"], 1),
        percent(stage["net_sample_reduction"], 1),
    )
