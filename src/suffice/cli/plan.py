"""`suffice plan`: the table of looks and boundaries, its worst case and its average sample number."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options

if TYPE_CHECKING:
    from suffice.stopping.plan import Plan


def plan(
    rule: options.RuleName = None,
    at_least: options.AtLeast = None,
    at_most: options.AtMost = None,
    alpha: options.Alpha = None,
    min_effect: options.MinEffect = None,
    n: options.Draws = None,
    max_disagreement: options.MaxDisagreement = None,
    method: Annotated[str | None, typer.Option(help="optimal, curtailed, curtailed-exact, margin or fixed.")] = None,
    look_every: options.LookEvery = None,
    n_min: options.FirstLook = None,
    looks: Annotated[str | None, typer.Option(help="The looks themselves, like 16,32,64.")] = None,
    guarded: Annotated[bool, typer.Option("--guarded", help="t rules: for draws of unknown shape.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Every method at the same bound, side by side.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the plan to this .svg or .png file.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write the plan to this file.")] = None,
    use_config: Annotated[bool, typer.Option("--use-config", help="Start from the configuration.")] = False,
    config: options.ConfigFile = None,
) -> Answer:
    """Make a stopping plan and print it: looks, boundaries, worst disagreement, average sample number (ASN)."""
    read = options.read_config(config, required=use_config) if use_config else options.shipped_config()
    choice = options.Choice(rule, at_least, alpha, min_effect, n, max_disagreement, look_every, n_min, at_most)
    setting = options.setting_of(choice, read, looks, config_looks=use_config)
    if compare:
        plans = _of_every_method(setting, guarded=guarded)
        return Answer([each.to_dict() for each in plans], lambda: _print_compared(plans))
    chosen = method or (read.verifier.adaptive_sampling.method if use_config else "optimal")
    made = setting.plan(chosen, guarded=guarded)
    if plot is not None:
        from suffice.reports.plots import plan_figure, save_figure

        save_figure(plan_figure(made), plot)
    if save is not None:
        made.save(save)
    return Answer(made.to_dict(), lambda: _print(made))


def _of_every_method(setting: options.Setting, *, guarded: bool) -> "list[Plan]":
    """The plan of each method that is made for the rule."""
    from suffice.errors import PlanError
    from suffice.stopping.design import METHODS

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
            made.method,
            f"{made.uniform_asn:.2f}",
            percent(1 - made.uniform_asn / made.n, 1),
            percent(made.worst_disagreement, 4),
            "–" if made.lower_bound is None else f"{made.lower_bound:.2f}",
            made.guarantee,
        )
        for made in plans
    )
    rule, n = plans[0].rule, plans[0].n
    title = f"{rule.name} ({_parameters(plans[0])}), N = {n}, allowed {_allowed(plans[0])}"
    print_table(title, ("method", "average draws", "saved", "worst disagreement", "lower bound", "guarantee"), rows)


def _parameters(made: "Plan") -> str:
    known = ((name, value) for name, value in made.rule.parameters.items() if value is not None)
    return ", ".join(f"{name} = {value:g}" for name, value in known)


def _print(made: "Plan") -> None:
    from suffice.terminal import out, percent, print_table

    rows = ((str(b.n), _boundary(b.reject_at), _boundary(b.accept_at)) for b in made.boundaries)
    title = f"Plan {made.id[:12]}: {made.rule.name} ({_parameters(made)}), N = {made.n}, method {made.method}"
    print_table(title, ("look at n", "reject at ≤", "accept at ≥"), rows)
    where = f"{made.worst_at} successes of {made.n}" if hasattr(made.rule, "threshold") else f"{made.worst_at} s.e."
    bound = "" if made.lower_bound is None else f"; the optimum for these looks is at least {made.lower_bound:.2f}"
    worst, saved = percent(made.worst_disagreement, 4), percent(1 - made.uniform_asn / made.n, 1)
    lines = (
        f"worst disagreement  {worst} at {where} (allowed {_allowed(made)}; {made.guarantee})",
        f"average draws       {made.uniform_asn:.2f} of {made.n}, {saved} saved{bound}",
    )
    out().print("\n".join(lines), highlight=False, soft_wrap=True)


def _allowed(made: "Plan") -> str:
    from suffice.terminal import percent

    if isinstance(made.max_disagreement, dict):
        return ", ".join(f"{side} {percent(bound, 4)}" for side, bound in made.max_disagreement.items())
    return percent(made.max_disagreement)


def _boundary(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"
