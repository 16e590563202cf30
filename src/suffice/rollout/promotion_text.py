"""What a promotion says to the people who review it."""

from collections.abc import Sequence
from typing import Any

from suffice.config import Stage, format_duration
from suffice.rollout.subject import Subject

Summaries = Sequence[tuple[str, dict[str, Any]]]


def title(subject: Subject) -> str:
    """One line: what is switched on."""
    plan = subject.plan
    return f"Adaptive sampling for the {plan.rule.name} rule (method {plan.method}, N = {plan.n})"


def release_note(subject: Subject, evidence: Summaries) -> str:
    """For those who run the service: what changes, and what does not."""
    plan = subject.plan
    lines = [
        f"# {title(subject)}",
        "",
        "`verifier.adaptive_sampling.enabled` is true: decisions may stop sampling early where the flag says so. The "
        "flag stays at the baseline until a rollout is started, so deploying this changes no decision.",
        "",
        f"- Plan `{plan.id}`, {plan.guarantee} guarantee: worst disagreement {_percent(plan.worst_disagreement, 4)}.",
        *(f"- On `{name}`: {_saved(summary)}; {_differ(summary)}." for name, summary in evidence),
        "- Back to fixed at once: `suffice rollout rollback --reason '…'`, or `SUFFICE_FORCE_FIXED=1`.",
    ]
    return "\n".join(lines) + "\n"


def pull_request(subject: Subject, evidence: Summaries) -> str:
    """For those who review it: what, why it is safe, how it is watched, how it is undone."""
    plan, config = subject.plan, subject.config
    acceptance, limits = config.rollout.acceptance, config.rollout
    parameters = ", ".join(f"{name} = {value:g}" for name, value in plan.rule.parameters.items())
    lines = [
        f"# {title(subject)}",
        "",
        "## What is promoted",
        "",
        f"- rule `{plan.rule.name}`, {parameters}, N = {plan.n}",
        f"- plan `{plan.id}`",
        f"- worst disagreement over every truth {_percent(plan.worst_disagreement, 4)} ({plan.guarantee})",
        f"- average draws {plan.uniform_asn:.2f} of {plan.n}",
        f"- seed {config.determinism.seed}",
        "- the change: `verifier.adaptive_sampling.enabled` from false to true, and nothing else",
        "",
        "## Evidence, measured just now",
        "",
        "| source | cases | draws saved | mean draws | decisions that differ | 95 % interval |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_evidence_row(name, summary) for name, summary in evidence),
        "",
        "## Thresholds",
        "",
        f"- disagreement at most {_percent(acceptance.max_disagreement_rate)}, proven in every stage with "
        f"{_percent(acceptance.confidence, 0)}, time-uniform",
        f"- sample reduction at least {_percent(acceptance.min_sample_reduction, 0)}; excess escalations at most "
        f"{_percent(acceptance.max_excess_escalations)}",
        f"- a cycle every {format_duration(limits.cycle)}; allowed: {limits.failure_limit} failures, "
        f"{limits.inconclusive_limit} inconclusive cycles after a stage and its extension, "
        f"{limits.consecutive_error_limit} errors in a row",
        "",
        "| stage | weight | regions | hold | audits | audited |",
        "| --- | --- | --- | --- | --- | --- |",
        *map(_stage_row, limits.stages),
        "",
        "## After the merge",
        "",
        "```sh",
        "suffice rollout start            # the first stage",
        "suffice rollout run              # or suffice rollout cycle from cron",
        "suffice rollout status --watch 60",
        "suffice rollout explain",
        "python metrics_dashboard.py --reports-dir TemporaryQueue --metrics-file metrics.json",
        "```",
        "",
        "## Rollback",
        "",
        "Any failed gate rolls back by itself. By hand:",
        "",
        "```sh",
        "suffice rollout rollback --reason 'what was seen'",
        "suffice triage list",
        "```",
        "",
        "It is done when the receipt is stored: every probe answered `fixed` through the flag. Then `enabled` is false "
        "again, and the evidence is frozen in a triage bundle. Without the store: `SUFFICE_FORCE_FIXED=1`.",
    ]
    return "\n".join(lines) + "\n"


def _evidence_row(name: str, summary: dict[str, Any]) -> str:
    cells = (
        name,
        f"{summary['cases']:,}",
        _percent(summary["sample_reduction"], 1),
        f"{summary['avg_adaptive_n']:.1f} of {summary['n']}",
        f"{summary['disagreements']:,} = {_percent(summary['disagreement_rate'])}",
        f"{_percent(summary['disagreement_lower'])} … {_percent(summary['disagreement_upper'])}",
    )
    return f"| {' | '.join(cells)} |"


def _stage_row(stage: Stage) -> str:
    cells = (
        stage.name,
        f"{stage.weight} %{' (shadow)' if stage.shadow else ''}",
        ", ".join(stage.regions) or "all",
        format_duration(stage.hold) if stage.hold else "–",
        f"{stage.min_audits:,}",
        _percent(stage.audit_fraction, 0),
    )
    return f"| {' | '.join(cells)} |"


def _saved(summary: dict[str, Any]) -> str:
    return f"{_percent(summary['sample_reduction'], 1)} of the draws saved"


def _differ(summary: dict[str, Any]) -> str:
    return f"{summary['disagreements']:,} of {summary['cases'] - summary['invalid']:,} decisions differ"


def _percent(share: float | None, digits: int = 2) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"
