"""A sweep as a check: chosen, made, summed up, and verified."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suffice.answer import Answer
from suffice.comparison.workers import Failed, pool
from suffice.errors import DataError, ExitCode
from suffice.files import check_writable
from suffice.runbook import sweep_check
from suffice.runbook.scenarios.catalogue import SCENARIOS, named
from suffice.runbook.sweep import Conditions, Report, Task, read_grid, sweep, tasks
from suffice.runbook.sweep_check import Finding
from suffice.runbook.sweep_files import RESULTS
from suffice.terminal import print_lines, print_table, track

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """The runs of a sweep: which scenarios (None: all), how often each cell, how many in all, and other cells."""

    scenarios: Sequence[str] | None = None
    repeats: int = 1
    budget: int | None = None
    grid_file: Path | None = None


def run_sweep(
    folder: Path, wanted: Wanted, conditions: Conditions, *, workers: int = 1, cluster: str | None = None
) -> Answer:
    """Make the runs, and a report for each; started again after a kill, it goes on.

    Fails when an expectation fails, or a run cannot be made. Raises DataError, OutputError, ExecutionError.
    """
    scenarios = SCENARIOS if wanted.scenarios is None else named(wanted.scenarios)
    grid = None if wanted.grid_file is None else read_grid(wanted.grid_file, scenarios)
    runs = tasks(scenarios, wanted.repeats, wanted.budget, grid)
    check_writable(folder / RESULTS)
    with pool(workers, cluster) as hands:
        ended = list(track(sweep(folder, runs, conditions, hands), len(runs), "sweeping"))
    lost = [one for one in ended if isinstance(one, Failed)]
    reports = [one for one in ended if not isinstance(one, Failed)]
    plain = _summary(folder, runs, reports, [scenario.id for scenario in scenarios])
    plain["not_made"] = [task.name.run_id for one in lost for task in one.chunk.tasks]
    holds = not lost and plain["passed"] == plain["runs"]
    return Answer(
        plain,
        lambda: _show(plain),
        ExitCode.HOLDS if holds else ExitCode.FAILS,
        _not_made(plain["not_made"], lost[0].why) if lost else "",
    )


def verify_sweep(folder: Path | None, other: Path | None = None, reports: tuple[Path, Path] | None = None) -> Answer:
    """Whether a sweep's outputs are complete, canonical and agree.

    `other` is a sweep, and `reports` two folders of reports, that must be equal but for `report_file`. Fails with a
    line for each finding. Raises DataError when there is nothing to verify.
    """
    if folder is None and other is not None:
        raise DataError("--compare-dir is given without --sweep-dir; allowed: both, or --detcheck A B")
    if folder is None and reports is None:
        raise DataError("nothing to verify; name a sweep with --sweep-dir, or two folders with --detcheck A B")
    findings: list[Finding] = []
    if folder is not None:
        findings += sweep_check.check(folder)
        if other is not None:
            findings += [*sweep_check.check(other), *sweep_check.compare(folder, other)]
    if reports is not None:
        findings += sweep_check.compare_reports(*reports)
    plain = {"holds": not findings, "findings": [{"file": f.file, "what": f.what} for f in findings]}
    return Answer(plain, lambda: _show_findings(findings), ExitCode.FAILS if findings else ExitCode.HOLDS)


def _summary(folder: Path, runs: Sequence[Task], reports: Sequence[Report], scenarios: Sequence[str]) -> dict[str, Any]:
    reached = {task.scenario.id for task in runs}
    failed = [
        {
            "report_file": report["report_file"],
            "what": [check["what"] for check in report["result"]["checks"] if not check["holds"]],
        }
        for report in reports
        if not report["result"]["passed"]
    ]
    return {
        "out_dir": folder.as_posix(),
        "runs": len(reports),
        "passed": len(reports) - len(failed),
        "scenarios": {name: sum(report["scenario_id"] == name for report in reports) for name in scenarios},
        "left_out": [name for name in scenarios if name not in reached],
        "agree": sum(report["result"]["agrees"] for report in reports),
        "n": sum(report["result"]["n"] for report in reports),
        "fixed_n": sum(report["result"]["fixed_n"] for report in reports),
        "failed": failed,
    }


def _show(plain: dict[str, Any]) -> None:
    rows = ((name, str(runs)) for name, runs in plain["scenarios"].items())
    print_table(f"{plain['runs']} runs in {plain['out_dir']}", ("scenario", "runs"), rows)
    lines = [
        f"{failed['report_file']}: {'; '.join(failed['what']) or 'nothing was checked'}" for failed in plain["failed"]
    ]
    if plain["left_out"]:
        lines.append(f"the budget leaves out: {', '.join(plain['left_out'])}")
    lines.append(
        f"{plain['passed']} of {plain['runs']} runs are as expected; in {plain['agree']} both worlds decide alike"
    )
    print_lines(*lines)


def _not_made(runs: Sequence[str], why: str) -> str:
    more = f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else ""
    return (
        f"{len(runs)} runs were not made, their chunk failed twice ({why}): {', '.join(runs[:SHOWN])}{more}; "
        "started again, the sweep goes on with them"
    )


def _show_findings(findings: Sequence[Finding]) -> None:
    lines = [f"{finding.file}: {finding.what}" for finding in findings[:SHOWN]]
    if len(findings) > SHOWN:
        lines.append(f"… and {len(findings) - SHOWN} more")
    lines.append(f"{len(findings)} findings" if findings else "the outputs hold")
    print_lines(*lines)
