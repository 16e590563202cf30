"""`suffice plan`: the table of looks and boundaries, its worst case and its average sample number."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options

if TYPE_CHECKING:
    from suffice.stopping.plan import Plan


def plan(
    *,
    choice: options.RuleOptions,
    method: options.Method = None,
    looks: Annotated[str | None, typer.Option(metavar="N,N,N", help="The looks themselves, like 16,32,64.")] = None,
    guarded: Annotated[bool, typer.Option("--guarded", help="t rules: for draws of unknown shape.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Every method at the same bound, side by side.")] = False,
    plot: options.Plot = None,
    save: Annotated[Path | None, typer.Option(help="Write the plan to this file.")] = None,
    use_config: options.UseConfig = False,
    config: options.ConfigFile = None,
) -> Answer:
    """Make a stopping plan and print it: its looks, boundaries, worst disagreement and average sample number (ASN).

    It reads no configuration unless --use-config or --config asks for one.

    Example: suffice plan --n 100 --at-least 0.8 --max-disagreement 0.01
    """
    configured = use_config or config is not None
    read = options.asked_config(config, use_config=use_config)
    setting = options.setting_of(choice, read, looks, config_looks=configured)
    if compare:
        plans = _of_every_method(setting, guarded=guarded)
        return Answer([each.to_dict() for each in plans], lambda: _print_compared(plans))
    chosen = setting.plan(method or read.verifier.adaptive_sampling.method, guarded=guarded)
    if plot is not None:
        from suffice.reports.plots import plan_figure, save_figure

        save_figure(plan_figure(chosen), plot)
    if save is not None:
        chosen.save(save)
    return Answer(chosen.to_dict(), lambda: _print(chosen))


def _of_every_method(setting: options.Setting, *, guarded: bool) -> "list[Plan]":
    """The plan of each method that is made for the rule."""
    from suffice.errors import PlanError
    from suffice.stopping.make import METHODS

    plans = []
    for name in METHODS:
        try:
            plans.append(setting.plan(name, guarded=guarded and name in ("optimal", "curtailed")))
        except PlanError as error:
            if "not made for" not in str(error):
                raise
    return plans


def _print_compared(plans: "list[Plan]") -> None:
    from suffice.terminal import percent, print_table

    rows = (
        (
            shown.method,
            f"{shown.uniform_asn:.2f}",
            percent(1 - shown.uniform_asn / shown.n, 1),
            percent(shown.worst_disagreement, 4),
            "–" if shown.lower_bound is None else f"{shown.lower_bound:.2f}",
            shown.guarantee,
        )
        for shown in plans
    )
    rule, n = plans[0].rule, plans[0].n
    title = f"{rule.name} ({_parameters(plans[0])}), N = {n}, allowed {_allowed(plans[0])}"
    print_table(title, ("method", "average draws", "saved", "worst disagreement", "lower bound", "guarantee"), rows)


def _parameters(shown: "Plan") -> str:
    known = ((name, value) for name, value in shown.rule.parameters.items() if value is not None)
    return ", ".join(f"{name} = {value:g}" for name, value in known)


def _print(shown: "Plan") -> None:
    from suffice.terminal import percent, print_lines, print_table

    rows = ((str(b.n), _boundary(b.reject_at), _boundary(b.accept_at)) for b in shown.boundaries)
    title = f"Plan {shown.id[:12]}: {shown.rule.name} ({_parameters(shown)}), N = {shown.n}, method {shown.method}"
    print_table(title, ("look at n", "reject at ≤", "accept at ≥"), rows)
    where = f"{shown.worst_at} successes of {shown.n}" if hasattr(shown.rule, "threshold") else f"{shown.worst_at} s.e."
    bound = "" if shown.lower_bound is None else f"; the optimum for these looks is at least {shown.lower_bound:.2f}"
    worst, saved = percent(shown.worst_disagreement, 4), percent(1 - shown.uniform_asn / shown.n, 1)
    print_lines(
        f"worst disagreement  {worst} at {where} (allowed {_allowed(shown)}; {shown.guarantee})",
        f"average draws       {shown.uniform_asn:.2f} of {shown.n}, {saved} saved{bound}",
    )


def _allowed(shown: "Plan") -> str:
    from suffice.terminal import percent

    if isinstance(shown.max_disagreement, dict):
        return ", ".join(f"{side} {percent(bound, 4)}" for side, bound in shown.max_disagreement.items())
    return percent(shown.max_disagreement)


def _boundary(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"
