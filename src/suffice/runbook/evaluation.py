"""The evaluation cases as a check: they are run, summed up in a file; production's counters stay as they are."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from suffice.answer import Answer
from suffice.errors import ExitCode
from suffice.files import check_writable, write_atomically
from suffice.runbook.configured import Configured
from suffice.runbook.harness.case import Context, EvalResult, chosen, run_cases
from suffice.runbook.harness.catalogue import CASES
from suffice.runbook.harness.junit import junit_xml
from suffice.telemetry.metrics_file import stand_in, to_text
from suffice.terminal import print_lines, track

SOURCE = "run_eval"
"""The mark of counters that stand in where production has counted nothing yet."""

EXPECTED = "scenario_metrics.json"
"""Counts of scenarios, whose escalations are expected: no news for the gate."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Files that an evaluation writes; counters of scenarios go beside `metrics`."""

    summary: Path
    metrics: Path
    junit: Path | None = None


def list_cases(names: Iterable[str] | None = None) -> Answer:
    """The cases of these names, or all, and what each checks. Raises DataError for a name that is not known."""
    plain = [
        {"name": case.name, "checks": (case.check.__doc__ or "").strip().split("\n")[0]}
        for case in chosen(CASES, names)
    ]
    return Answer(plain, lambda: print_lines(*(f"{case['name']}: {case['checks']}" for case in plain)))


def evaluate(
    configured: Configured,
    outputs: Outputs,
    *,
    names: Iterable[str] | None = None,
    seed: int | None = None,
    seen: Callable[[EvalResult], None] = lambda _: None,
) -> Answer:
    """Run the cases of these names, or all; `seen` is called after each. A failing case hides no other.

    Raises DataError for a name that is not known, OutputError when a file cannot be written.
    """
    cases = chosen(CASES, names)
    for path in (outputs.summary, outputs.junit):
        if path is not None:
            check_writable(path)
    determinism = configured.config.determinism
    context = Context(
        configured.config,
        configured.text,
        lambda: configured.plan,
        configured.seed(seed),
        determinism.fixed_timestamp,
    )
    start, results = _now(context), list[EvalResult]()
    for result in track(run_cases(cases, context), len(cases), "evaluating"):
        results.append(result)
        seen(result)
    plain = _summary(context, results, start)
    write_atomically(outputs.summary, json.dumps(plain, indent=2, allow_nan=False) + "\n")
    if outputs.junit is not None:
        write_atomically(outputs.junit, junit_xml(results))
    counted, expected = context.counted.snapshot(), context.expected.snapshot()
    if counted.decisions:
        stand_in(counted, outputs.metrics, SOURCE)
    if expected.decisions:
        write_atomically(outputs.metrics.parent / EXPECTED, to_text(expected, SOURCE))
    passed = sum(result.passed for result in results)
    code = _code(results)
    return Answer(plain, lambda: print_lines(f"{passed} of {len(results)} cases pass"), code)


def show_result(result: EvalResult) -> None:
    """A case's outcome and why, each on a line."""
    outcome = "PASS" if result.passed else "CANNOT TELL" if result.unknown else "FAIL"
    print_lines(f"- {result.name}: {outcome}", f"  {result.what}")


def _code(results: Sequence[EvalResult]) -> ExitCode:
    """Fails when a case fails; cannot tell when none fails and one cannot."""
    wrong = [result.unknown for result in results if not result.passed]
    return ExitCode.HOLDS if not wrong else ExitCode.CANNOT_TELL if all(wrong) else ExitCode.FAILS


def _now(context: Context) -> str:
    determinism = context.config.determinism
    moment = determinism.fixed_timestamp if determinism.deterministic_mode else datetime.now(UTC)
    return moment.isoformat().replace("+00:00", "Z")


def _summary(context: Context, results: Sequence[EvalResult], start: str) -> dict[str, Any]:
    verifier = context.config.verifier
    return {
        "passed": all(result.passed for result in results),
        "rule": verifier.rule,
        "method": verifier.adaptive_sampling.method,
        "seed": context.seed,
        "deterministic_mode": context.config.determinism.deterministic_mode,
        "start_ts": start,
        "end_ts": _now(context),
        "cases": [{"name": result.name, "passed": result.passed, "what": result.what} for result in results],
    }
