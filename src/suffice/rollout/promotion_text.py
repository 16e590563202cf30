"""What a promotion says to the people who review it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suffice.config import Stage, format_duration
from suffice.rollout.monitoring_commands import monitoring, posix, powershell
from suffice.rollout.subject import Subject
from suffice.rollout.world import Place

Summaries = Sequence[tuple[str, dict[str, Any]]]

PUBLIC = ("pdg", "codata")
"""Sources that say nothing about whoever promotes."""


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


def pull_request(
    subject: Subject,
    evidence: Summaries,
    config_file: Path,
    accepted: Sequence[str] = (),
    start_refused_for: Sequence[str] = (),
) -> str:
    """For those who review it: what, why it is safe, how it is watched, how it is undone. The commands are those of the
    folder that the configuration is in. The sentences are about the start: what was accepted, what would refuse it."""
    there = Place(Path(config_file.name))
    sections = (
        [f"# {title(subject)}"],
        _promoted(subject),
        _evidence(evidence),
        _thresholds(subject),
        _after_the_merge(there, accepted, start_refused_for),
        _monitoring(config_file),
        _artifacts(),
        _rollback(there),
    )
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _promoted(subject: Subject) -> list[str]:
    plan = subject.plan
    parameters = ", ".join(f"{name} = {value:g}" for name, value in plan.rule.parameters.items())
    return [
        "## What is promoted",
        "",
        f"- rule `{plan.rule.name}`, {parameters}, N = {plan.n}",
        f"- plan `{plan.id}`",
        f"- worst disagreement over every truth {_percent(plan.worst_disagreement, 4)} ({plan.guarantee})",
        f"- average draws {plan.uniform_asn:.2f} of {plan.n}",
        f"- seed {subject.config.determinism.seed}",
        "- the change: `verifier.adaptive_sampling.enabled` from false to true, and nothing else",
    ]


def _evidence(evidence: Summaries) -> list[str]:
    public = [
        f"`{name}` is a public source, not this service's: `suffice promote --records … --measurements …` measures on "
        "its own corrections."
        for name, _ in evidence
        if name in PUBLIC
    ]
    return [
        "## Evidence, measured just now",
        "",
        "| source | cases | draws saved | mean draws | decisions that differ | 95 % interval |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_evidence_row(name, summary) for name, summary in evidence),
        *(["", *public] if public else []),
    ]


def _thresholds(subject: Subject) -> list[str]:
    limits, gate = subject.config.rollout, subject.config.verifier.adaptive_sampling.regression_gate
    acceptance = limits.acceptance
    return [
        "## Thresholds",
        "",
        f"- on the fixed-seed regression set at most {_percent(gate.max_disagreement_rate)} of the decisions differ",
        f"- disagreement at most {_percent(acceptance.max_disagreement_rate)}, proven in every stage with "
        f"{_percent(acceptance.confidence, 0)}, time-uniform",
        f"- sample reduction at least {_percent(acceptance.min_sample_reduction, 0)}; escalations above the baseline's "
        f"at most {_percent(acceptance.max_excess_escalations)} of the targets",
        "- repeated deterministic runs are equal",
        f"- a cycle every {format_duration(limits.cycle)}; allowed: {limits.failure_limit} failures, "
        f"{limits.inconclusive_limit} inconclusive cycles after a stage and its extension, "
        f"{limits.consecutive_error_limit} errors in a row",
        "",
        "| stage | weight | regions | hold | audits | audited |",
        "| --- | --- | --- | --- | --- | --- |",
        *map(_stage_row, limits.stages),
    ]


def _after_the_merge(there: Place, accepted: Sequence[str], start_refused_for: Sequence[str]) -> list[str]:
    refused = ["The first command would be refused as things stand, unless it is told to accept:", ""]
    return [
        "## After the merge",
        "",
        *(f"- {sentence}" for sentence in accepted),
        *([""] if accepted else []),
        *([*refused, *(f"- {sentence}" for sentence in start_refused_for), ""] if start_refused_for else []),
        "```sh",
        f"{there.command('rollout start'):<32} # the first stage",
        f"{there.command('rollout run'):<32} # or {there.command('rollout cycle')} from cron",
        there.command("rollout status --watch 60"),
        there.command("rollout explain"),
        "```",
    ]


def _monitoring(config_file: Path) -> list[str]:
    lines = monitoring(config_file.absolute().parent, config_file.name)
    other = config_file.name != "config.json"
    return [
        "## Monitoring",
        "",
        "The rollout runs those that `rollout.checks` names beside its cycles; one that fails rolls back. All",
        "of them by hand, in POSIX shells:",
        "",
        "```sh",
        *posix(lines),
        "```",
        "",
        "In PowerShell:",
        "",
        "```powershell",
        *powershell(lines),
        "```",
        "",
        "0 holds, 2 fails, 3 cannot tell; `tee` hides the code, so say `set -o pipefail` in a script. Or all of it at "
        "once: `suffice runbook`.",
        *([f"The first one takes its configuration from `SUFFICE_CONFIG={config_file.name}`."] if other else []),
    ]


def _artifacts() -> list[str]:
    return [
        "## Artifacts to retain",
        "",
        "At least until the rollout is released, and for as long as decisions may be questioned:",
        "",
        "| what | where |",
        "| --- | --- |",
        "| this text, and the release note | the pull request, `release-notes/` |",
        "| ledger, journal, receipts | the store: `TemporaryQueue/store.db`, or its database |",
        "| what each cycle's checks printed | `TemporaryQueue/checks/ROLLOUT/`: `pytest_adversarial.out`, "
        "`run_eval.out`, `metrics_summary.out`, `verify_sweep.out` |",
        "| sweeps and their reports | `sweep_results.csv` and `reports/` in `TemporaryQueue/checks/ROLLOUT/work/` |",
        "| summary and counters | `eval_summary.json`, `TemporaryQueue/metrics.json` |",
        "| after a rollback: the evidence | `TemporaryQueue/triage/ROLLOUT/` with its `MANIFEST`, and the journal head "
        "beside it |",
    ]


def _rollback(there: Place) -> list[str]:
    return [
        "## Rollback",
        "",
        "Any failed gate rolls back by itself, in any stage. By hand:",
        "",
        "```sh",
        there.command("rollout rollback --reason 'what was seen'"),
        there.command("triage list"),
        "```",
        "",
        "- Flag first: word and flag say the baseline at once, and every process follows within seconds.",
        "- It is done when the receipt is stored: every process acknowledged the baseline, and every probe answered "
        "`fixed`.",
        "- Then `enabled` is false again, the evidence is frozen in a triage bundle, and an item is opened.",
        "- Without the store: `SUFFICE_FORCE_FIXED=1` in the service's environment forces the baseline.",
        "- Diagnosis: `suffice compare --use-config --deterministic` (fixed against adaptive), then `suffice sweep "
        "--scenarios …` on what failed; then tune the plan.",
        "- The next attempt is a new rollout from the first stage, with no old evidence; revert this commit if there "
        "is none.",
    ]


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
        (format_duration(stage.hold) if stage.hold else "–") + (", then approval" if stage.approval else ""),
        f"{stage.min_audits:,}",
        _percent(stage.audit_fraction, 0),
    )
    return f"| {' | '.join(cells)} |"


def _saved(summary: dict[str, Any]) -> str:
    return f"{_percent(summary['sample_reduction'], 1)} of the draws saved"


def _differ(summary: dict[str, Any]) -> str:
    return f"{summary['disagreements']:,} of {summary['judged']:,} decisions differ"


def _percent(share: float | None, digits: int = 2) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"
