"""The self-contained HTML report of a rehearsal: how it ended and why, each stage and gate, and how to see it again."""

import json
import shlex
from pathlib import Path
from typing import Any

from suffice.files import write_atomically
from suffice.gates.wording import at_most, limit
from suffice.rehearsal.plots import disagreement_figure, draws_figure, escalations_figure, spoken, stages_figure
from suffice.rehearsal.rehearse import Ending
from suffice.rehearsal.setup import Setup
from suffice.reports.page import Table, allowed, inline, page, percent
from suffice.resolution.judge import Outcome
from suffice.rollout.report import NO_PROOF

_NAMED = ("pdg", "codata", "ledger")


def write_report(setup: Setup, ending: Ending, summary: dict[str, Any], path: Path) -> None:
    """Write the report as one HTML file that refers to nothing outside of it, whole or not at all.

    `summary` is what `summary_of` makes of the others. Equal input gives equal bytes. Raises OutputError when the file
    cannot be written.
    """
    write_atomically(path, report_html(setup, ending, summary))


def report_html(setup: Setup, ending: Ending, summary: dict[str, Any]) -> str:
    """The report as text."""
    limits, history = setup.config.rollout.acceptance, ending.history
    first, stage = ending.state.rollout.stages[0].weight, summary["stages"][-1]
    return page(
        "rehearsal.html.j2",
        "suffice.rehearsal",
        summary=summary,
        stage=stage,
        state=ending.state,
        days=history[-1]["day"] if history else 0.0,
        resolved=ending.resolved,
        receipt=ending.receipt,
        fault=setup.fault,
        reduction=_whole(limit(limits.min_sample_reduction)),
        rate=_whole(limit(limits.max_disagreement_rate)),
        confidence=_whole(limit(limits.confidence)),
        proven=_at_most(stage["disagreement_upper"]),
        headline=headline(ending, summary),
        why=why(ending, summary),
        no_proof=NO_PROOF,
        guarantee=guarantee(setup),
        parameters=", ".join(f"{name} = {value:g}" for name, value in setup.plan.rule.parameters.items()),
        stages=_stages(summary),
        gates=[(stage["name"], _gates(stage)) for stage in summary["stages"]],
        outcomes=_outcomes(ending),
        commands=commands(setup, ending),
        numbers=json.dumps(summary, indent=2),
        weights=inline(stages_figure(history, first, ending.state.phase), "stages"),
        draws=inline(draws_figure(history, limits.min_sample_reduction), "draws"),
        disagreement=inline(disagreement_figure(history, limits.max_disagreement_rate), "disagreement"),
        escalations=inline(escalations_figure(history), "escalations"),
    )


def headline(ending: Ending, summary: dict[str, Any]) -> str:
    """One sentence: how it ended, where, and what follows."""
    name, weight = ending.state.current.name, f"{ending.state.weight}\N{NO-BREAK SPACE}%"
    match summary["status"]:
        case "completed":
            what = f"Completed: the {summary['method']} plan is promoted to {weight} of the targets"
            return f"{what}{_within(ending.state.current.regions)}{_saved(summary['stages'][-1])}"
        case "rolled_back":
            return f"Rolled back in {name}: {_cause(ending)}, and {_observed(ending)}"
        case "paused":
            return f"{spoken(ending.state.phase).capitalize()} in {name} at a weight of {weight}: a person has to look"
    return f"Interrupted in {name} while {spoken(ending.state.phase)}: what follows is what was known then"


def why(ending: Ending, summary: dict[str, Any]) -> list[str]:
    """The sentences behind the headline."""
    if summary["status"] == "rolled_back" and ending.state.failed:
        return [
            f"The {result.gate.replace('_', ' ')} gate: {_whole(result.sentence)}." for result in ending.state.failed
        ]
    sentence = _whole(ending.state.why)
    return [f"{sentence[:1].upper()}{sentence[1:]}."]


def guarantee(setup: Setup) -> str:
    """What the plan promises about disagreement with the baseline, in a sentence."""
    plan = setup.plan
    bound, worst = allowed(plan.max_disagreement), percent(plan.worst_disagreement)
    agreed = f"{bound} was agreed, and the worst case of the table is {worst}"
    match plan.guarantee:
        case "exact":
            return (
                "The guarantee is exact: whatever the truth, an adaptive decision differs from the fixed one with at "
                f"most the agreed probability, without assumptions on the distribution of the draws; {agreed}."
            )
        case "asymptotic":
            return (
                "The guarantee is asymptotic: the bound on decisions that differ holds for normal and near-normal "
                f"draws, and is not proven for others, which is what the audits are for; {agreed}."
            )
        case "none":
            return f"There is no guarantee: {agreed}, which only the audits hold in check."


def commands(setup: Setup, ending: Ending) -> list[str]:
    """What to paste into a shell to see this again."""
    plan, fault = setup.plan, setup.fault
    yours = ["--samples", "SAMPLES"] if setup.described else ["--records", "RECORDS", "--measurements", "MEASUREMENTS"]
    source = ["--source", setup.source] if setup.source in _NAMED else yours
    words = ["suffice", "rehearse", "--config", str(setup.file("config.json")), *source,
             "--rule", plan.rule.name, "--method", plan.method, "--seed", str(setup.seed),
             *(["--fault", f"{fault.stage}:{fault.kind.spelling}"] if fault else []),
             "--dir", f"{setup.directory}-again"]  # fmt: skip
    lines = [shlex.join(words)]
    if ending.bundle:
        bundle = shlex.quote(ending.bundle)
        lines += [f"suffice triage check {bundle}", f"suffice triage reproduce {bundle}"]
    return lines


def _saved(stage: dict[str, Any]) -> str:
    saved, net = stage["sample_reduction"], stage["net_sample_reduction"]
    if saved is None:
        return ", and has decided nothing there yet"
    return f" and saves {percent(saved, 1)} of the draws" + (
        f", {percent(net, 1)} net of audits" if net is not None else ""
    )


def _within(regions: tuple[str, ...]) -> str:
    return f" in {', '.join(regions)}" if regions else ""


def _cause(ending: Ending) -> str:
    names = [result.gate.replace("_", " ") for result in ending.state.failed]
    if not names:
        return ending.state.why
    return f"the {names[0]} gate failed" if len(names) == 1 else f"the gates {' and '.join(names)} failed"


def _observed(ending: Ending) -> str:
    if ending.receipt is None:
        return "the receipt is in the bundle" if ending.bundle else "there is no receipt"
    asked, fixed = ending.receipt.asked, ending.receipt.fixed
    if asked == fixed:
        return f"the baseline was observed by {asked:,} {'probe' if asked == 1 else 'probes'}"
    return f"the baseline was not observed: {fixed:,} of {asked:,} probes answered fixed"


def _stages(summary: dict[str, Any]) -> Table:
    columns = ("stage", "weight", "decisions", "adaptive", "audits that disagree", "proven at most", "draws saved",
               "net of audits", "escalations, adaptive and baseline", "fallbacks", "invalid")  # fmt: skip
    return Table(columns, tuple(_stage_row(stage) for stage in summary["stages"]))


def _stage_row(stage: dict[str, Any]) -> tuple[str, ...]:
    return (
        stage["name"],
        _weight(stage),
        f"{stage['decisions']:,}",
        f"{stage['adaptive']:,}",
        f"{stage['disagreements']:,} of {stage['audits']:,}",
        _at_most(stage["disagreement_upper"]),
        percent(stage["sample_reduction"], 1),
        percent(stage["net_sample_reduction"], 1),
        f"{stage['escalations_adaptive']:,} and {stage['escalations_baseline']:,}",
        f"{stage['fallbacks']:,}",
        f"{stage['invalid']:,}",
    )


def _weight(stage: dict[str, Any]) -> str:
    """Who is adaptive in a stage."""
    return f"{stage['weight']}\N{NO-BREAK SPACE}%{', shadow' if stage['shadow'] else ''}{_within(stage['regions'])}"


def _at_most(share: float | None) -> str:
    """An upper bound, as the gates round it."""
    return "–" if share is None else _whole(at_most(share))


def _whole(sentence: str) -> str:
    """With no line end between a number and its percent sign."""
    return sentence.replace(" %", "\N{NO-BREAK SPACE}%")


def _gates(stage: dict[str, Any]) -> Table:
    rows = ((gate["gate"].replace("_", " "), gate["outcome"], _whole(gate["sentence"])) for gate in stage["gates"])
    return Table(("gate", "outcome", "what was seen, and what is allowed"), tuple(rows))


def _outcomes(ending: Ending) -> Table:
    total = ending.resolved.corrections
    rows = []
    for outcome in Outcome:
        name = outcome.name.lower()
        count = getattr(ending.resolved, name)
        share = percent(count / total if total else None, 1)
        rows.append((name.replace("_", " "), f"{count:,}", share, outcome.value))
    return Table(("arrivals", "how many", "share", "what it means"), tuple(rows))
