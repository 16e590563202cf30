"""`suffice sweep` and `suffice verify-sweep`: the adversarial sweep, and whether its outputs can be trusted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suffice.cli import options
from suffice.errors import DataError

if TYPE_CHECKING:
    from suffice.runbook.sweep import Conditions, Task
    from suffice.runbook.sweep_check import Finding

HOLDS, FAILS = 0, 2
SHOWN = 20


def sweep(
    out_dir: Annotated[Path, typer.Option(help="The folder of sweep_results.csv and reports/.")] = Path(
        "TemporaryQueue/sweep"
    ),
    budget: Annotated[int | None, typer.Option(help="The most runs, spread over the scenarios.")] = None,
    scenarios: Annotated[str | None, typer.Option(help="Scenarios to run, like small_noise,heavy_tail.")] = None,
    repeats: Annotated[int, typer.Option(help="Runs of each cell, each with draws of its own.")] = 1,
    grid_file: Annotated[Path | None, typer.Option(help="JSON: {scenario: {parameter: [values]}}.")] = None,
    seed: options.Seed = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Reports carry the configuration's fixed_timestamp.")
    ] = False,
    workers: options.Workers = 1,
    cluster: options.Cluster = None,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> int:
    """Run the adversarial scenarios over their grids, fixed and adaptive, and write a report for each run.

    Started again after a kill, it continues. Exits 2 when an expectation fails, or a run cannot be made.
    """
    from suffice.cli.console import print_json, track
    from suffice.comparison.workers import Failed, pool
    from suffice.files import check_writable
    from suffice.runbook.scenarios.catalogue import SCENARIOS, named
    from suffice.runbook.sweep import read_grid, tasks
    from suffice.runbook.sweep import sweep as run_sweep
    from suffice.runbook.sweep_files import RESULTS

    chosen = SCENARIOS if scenarios is None else named(name.strip() for name in scenarios.split(","))
    grid = None if grid_file is None else read_grid(grid_file, chosen)
    wanted = tasks(chosen, repeats, budget, grid)
    conditions = _conditions(config, seed, deterministic=deterministic)
    check_writable(out_dir / RESULTS)
    with pool(workers, cluster) as hands:
        found = list(track(run_sweep(out_dir, wanted, conditions, hands), len(wanted), "sweeping"))
    lost = [one for one in found if isinstance(one, Failed)]
    reports = [one for one in found if not isinstance(one, Failed)]
    answer = _summary(out_dir, wanted, reports, [scenario.id for scenario in chosen])
    answer["not_made"] = [task.name.run_id for one in lost for task in one.chunk.tasks]
    if json:
        print_json(answer)
    else:
        _print(answer)
    if lost:
        return _tell_lost(answer["not_made"], lost[0].why)
    return HOLDS if answer["passed"] == answer["runs"] else FAILS


def verify_sweep(
    sweep_dir: Annotated[Path | None, typer.Option(help="The folder of a sweep.")] = None,
    compare_dir: Annotated[Path | None, typer.Option(help="A second sweep that must be equal.")] = None,
    detcheck: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Two folders of reports that must be equal.")
    ] = None,
    json: options.Json = False,
) -> int:
    """Verify what a sweep wrote: complete, canonical, and its reports agree with its table.

    Compared sweeps, or folders of reports, must be equal but for report_file. Exits 2 with a line for each finding.
    """
    from suffice.cli.console import print_json
    from suffice.runbook.sweep_check import check, compare, compare_reports

    if sweep_dir is None and compare_dir is not None:
        raise DataError("--compare-dir is given without --sweep-dir; allowed: both, or --detcheck A B")
    if sweep_dir is None and detcheck is None:
        raise DataError("nothing to verify; name a sweep with --sweep-dir, or two folders with --detcheck A B")
    findings: list[Finding] = []
    if sweep_dir is not None:
        findings += check(sweep_dir)
        if compare_dir is not None:
            findings += [*check(compare_dir), *compare(sweep_dir, compare_dir)]
    if detcheck is not None:
        findings += compare_reports(*detcheck)
    if json:
        print_json({"holds": not findings, "findings": [{"file": f.file, "what": f.what} for f in findings]})
    else:
        _print_findings(findings)
    return FAILS if findings else HOLDS


def _conditions(path: Path | None, seed: int | None, *, deterministic: bool) -> "Conditions":
    from suffice.resolution.storm import StormPolicy
    from suffice.runbook.sweep import Conditions
    from suffice.stopping.cache import default_cache
    from suffice.stopping.configured import configured_plan

    config = options.read_config(path, required=False)
    determinism, policy = config.determinism, config.error_resolution.rollback_storm_policy
    return Conditions(
        configured_plan(config.verifier, default_cache(), (path or Path("config.json")).parent),
        determinism.seed if seed is None else seed,
        StormPolicy(policy.max_rollbacks if policy.enabled else None),
        determinism.fixed_timestamp if deterministic or determinism.deterministic_mode else None,
    )


def _summary(folder: Path, wanted: "list[Task]", reports: list[dict[str, Any]], scenarios: list[str]) -> dict[str, Any]:
    run = {task.scenario.id for task in wanted}
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
        "left_out": [name for name in scenarios if name not in run],
        "agree": sum(report["result"]["agrees"] for report in reports),
        "n": sum(report["result"]["n"] for report in reports),
        "fixed_n": sum(report["result"]["fixed_n"] for report in reports),
        "failed": failed,
    }


def _print(answer: dict[str, Any]) -> None:
    from suffice.cli.console import out, print_table

    rows = ((name, str(runs)) for name, runs in answer["scenarios"].items())
    print_table(f"{answer['runs']} runs in {answer['out_dir']}", ("scenario", "runs"), rows)
    lines = [
        f"{failed['report_file']}: {'; '.join(failed['what']) or 'nothing was checked'}" for failed in answer["failed"]
    ]
    if answer["left_out"]:
        lines.append(f"the budget leaves out: {', '.join(answer['left_out'])}")
    lines.append(
        f"{answer['passed']} of {answer['runs']} runs are as expected; in {answer['agree']} both worlds decide alike"
    )
    out().print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _tell_lost(runs: list[str], why: str) -> int:
    import sys

    more = f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else ""
    sys.stderr.write(
        f"suffice: {len(runs)} runs were not made, their chunk failed twice ({why}): {', '.join(runs[:SHOWN])}{more}; "
        "started again, the sweep goes on with them\n"
    )
    return FAILS


def _print_findings(findings: "list[Finding]") -> None:
    from suffice.cli.console import out

    lines = [f"{finding.file}: {finding.what}" for finding in findings[:SHOWN]]
    if len(findings) > SHOWN:
        lines.append(f"… and {len(findings) - SHOWN} more")
    lines.append(f"{len(findings)} findings" if findings else "the outputs hold")
    out().print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
