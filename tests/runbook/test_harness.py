"""The evaluation harness: every case passes for the product as it is, and fails for one that is broken."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from suffice.config import Config, parse, shipped
from suffice.errors import DataError, ExitCode, MissingDataError, PlanError, StoreError
from suffice.resolution import judge
from suffice.runbook import evaluation
from suffice.runbook.harness import agreement, reports, storage, workload
from suffice.runbook.harness.case import CaseFailed, Context, EvalCase, EvalResult, chosen, run_cases
from suffice.runbook.harness.catalogue import CASES
from suffice.runbook.harness.junit import junit_xml
from suffice.stopping.make import configured_plan
from suffice.stopping.plan import Plan
from suffice.stopping.run import Boundary
from suffice.store import chain
from suffice.telemetry.counters import Counter

NAMES = [case.name for case in CASES]
SHIPPED = shipped()
OPTIMAL = configured_plan(SHIPPED.verifier, None, None)  # type: ignore[arg-type]


def context(config: Config = SHIPPED, plan: Plan | None = None) -> Context:
    text = config.model_dump_json()
    return Context(config, text, lambda: plan or OPTIMAL, 42, datetime(2025, 1, 1, tzinfo=UTC))


def configured(**verifier: Any) -> Config:
    """The shipped configuration with other values under `verifier`; a dict stands for a section's."""
    content = json.loads(SHIPPED.model_dump_json())
    for name, value in verifier.items():
        if isinstance(value, dict):
            content["verifier"][name].update(value)
        else:
            content["verifier"][name] = value
    return parse(json.dumps(content), "test")


def results(used: Context, *names: str) -> dict[str, EvalResult]:
    return {result.name: result for result in run_cases(chosen(CASES, names or None), used)}


def test_the_issues_cases_are_all_there() -> None:
    assert {
        "report_shape",
        "deterministic_reproduction",
        "escalation_policy",
        "agreement_even",
        "agreement_pdg",
        "sample_reduction",
        "excess_escalations",
        "provenance_chain",
        "store_round_trip",
        "config_round_trip",
    } <= set(NAMES)


def test_every_case_passes_and_says_what_it_found() -> None:
    used = context()
    compared = results(used)
    assert [result.what for result in compared.values() if not result.passed] == []
    assert list(compared) == NAMES
    assert all(any(letter.isdigit() for letter in result.what) for name, result in compared.items() if name != NAMES[0])
    counted = used.counted.snapshot()
    assert counted.decisions == 240
    assert counted.counters[Counter.ADAPTIVE_USED] == counted.counters[Counter.AUDITS] == 120
    assert counted.counters[Counter.ESCALATIONS] == 0 < counted.counters[Counter.ROLLBACKS]
    assert used.expected.snapshot().counters[Counter.ESCALATIONS] > 0


@pytest.mark.parametrize("rule", ["proportion", "paired_mean"])
def test_the_heuristic_fails_the_agreement_case_under_either_rule(rule: str) -> None:
    config = configured(rule=rule, adaptive_sampling={"method": "margin"})
    used = context(config, configured_plan(config.verifier, None, None))  # type: ignore[arg-type]
    (compared,) = results(used, "agreement_even").values()
    assert not compared.passed
    assert f"{rule} with margin" in compared.what
    assert "allowed: 1.00%" in compared.what


def test_a_regression_gate_that_is_switched_off_is_not_judged() -> None:
    gate = {"enabled": False, "max_disagreement_rate": 0.01, "min_cases": 1000}
    config = configured(adaptive_sampling={"method": "margin", "regression_gate": gate})
    used = context(config, configured_plan(config.verifier, None, None))  # type: ignore[arg-type]
    (compared,) = results(used, "agreement_even").values()
    assert compared.passed
    assert compared.what.endswith("not judged: regression_gate.enabled is false")


def test_a_plan_that_cannot_be_made_fails_the_cases_that_need_one_and_no_other() -> None:
    def impossible() -> Plan:
        raise PlanError("the plan is impossible")

    compared = results(replace(context(), plan_of=impossible), "config_round_trip", "store_round_trip", "report_shape")
    assert [result.passed for result in compared.values()] == [True, True, False]
    assert compared["report_shape"].what == "PlanError: the plan is impossible"


NEVER_STOPS = replace(OPTIMAL, boundaries=(), method="fixed")
ALWAYS_REJECTS = replace(OPTIMAL, boundaries=(Boundary(8, 8, None),))
Sabotage = Callable[[pytest.MonkeyPatch], Context]


def with_plan(plan: Plan) -> Sabotage:
    return lambda _: context(plan=plan)


def with_plan_on_few_cases(plan: Plan) -> Sabotage:
    """The even set stands in for the thirteen thousand particle measurements."""

    def sabotaged(_: pytest.MonkeyPatch) -> Context:
        used = context(plan=plan)
        used.__dict__["pdg"] = used.even
        return used

    return sabotaged


def with_chains_that_always_hold(monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(chain, "_wrong", lambda *_: None)
    return context()


def with_resolutions_that_are_not_told(monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr("suffice.resolution.resolve.events", lambda *_: [])
    return context()


def with_a_clock_in_the_reports(monkeypatch: pytest.MonkeyPatch) -> Context:
    ticks = iter(range(1000))
    original = reports.make

    def make(task: Any, conditions: Any) -> Any:
        return {**original(task, conditions), "start_ts": str(next(ticks))}

    monkeypatch.setattr(reports, "make", make)
    return context()


def with_a_report_that_lacks_a_key(monkeypatch: pytest.MonkeyPatch) -> Context:
    original = reports.make

    def make(task: Any, conditions: Any) -> Any:
        return {key: value for key, value in original(task, conditions).items() if key != "provenance_snapshot"}

    monkeypatch.setattr(reports, "make", make)
    return context()


def with_storms_that_nobody_stops(monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(judge.StormPolicy, "after", lambda self, state, accepted: state)
    return context()


def with_a_switch_that_changes_more(monkeypatch: pytest.MonkeyPatch) -> Context:
    def set_enabled(path: Any, enabled: bool) -> None:
        path.write_text(configured(n_samples=512).model_dump_json(), encoding="utf-8")

    monkeypatch.setattr(storage, "set_enabled", set_enabled)
    return context()


def with_a_store_that_forgets(monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(storage, "load_records", lambda *_: {})
    return context()


def with_an_arm_that_escalates(monkeypatch: pytest.MonkeyPatch) -> Context:
    def replay(decisions: Any, _: Any) -> dict[str, int]:
        # A world of adaptive decisions is asked for second.
        asked.append(1)
        return {f"t{i}": 1 for i in range(20)} if len(asked) == 2 else {}

    asked: list[int] = []
    monkeypatch.setattr(agreement, "replay", replay)
    return with_plan_on_few_cases(OPTIMAL)(monkeypatch)


SABOTAGES: list[tuple[str, Sabotage]] = [
    ("config_round_trip", with_a_switch_that_changes_more),
    ("store_round_trip", with_a_store_that_forgets),
    ("reference_workload", with_plan(ALWAYS_REJECTS)),
    ("provenance_chain", with_chains_that_always_hold),
    ("provenance_chain", with_resolutions_that_are_not_told),
    ("report_shape", with_a_report_that_lacks_a_key),
    ("deterministic_reproduction", with_a_clock_in_the_reports),
    ("escalation_policy", with_storms_that_nobody_stops),
    ("agreement_even", with_plan(ALWAYS_REJECTS)),
    ("agreement_pdg", with_plan_on_few_cases(ALWAYS_REJECTS)),
    ("sample_reduction", with_plan_on_few_cases(NEVER_STOPS)),
    ("excess_escalations", with_an_arm_that_escalates),
]


@pytest.mark.parametrize(("name", "sabotage"), SABOTAGES, ids=lambda part: part if isinstance(part, str) else "")
def test_each_case_fails_for_a_product_that_is_broken(
    monkeypatch: pytest.MonkeyPatch, name: str, sabotage: Sabotage
) -> None:
    compared = results(sabotage(monkeypatch), name)[name]
    assert not compared.passed
    assert compared.what


def test_every_case_is_sabotaged() -> None:
    assert {name for name, _ in SABOTAGES} == set(NAMES)


@pytest.mark.parametrize("max_rollbacks", [1, 2, 3, 10])
def test_the_reference_workload_never_holds_a_storm(max_rollbacks: int) -> None:
    claims = workload.corrections(judge.StormPolicy(max_rollbacks))
    noise = [c for c in claims if c.target == claims[0].target and c.measurement.u_plus > 1]
    assert len(noise) < max_rollbacks


def test_one_failing_case_does_not_hide_the_others() -> None:
    def explode(_: Context) -> str:
        raise ZeroDivisionError("division\nby zero")

    cases = [EvalCase("bad", explode), EvalCase("good", lambda _: "1 of 1")]
    bad, good = run_cases(cases, context())
    assert (bad.passed, bad.what) == (False, "ZeroDivisionError: division by zero")
    assert (good.passed, good.what) == (True, "1 of 1")


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ((OSError(28, "No space left on device"),), ExitCode.CANNOT_TELL),
        ((MemoryError(), StoreError("disk I/O error"), MissingDataError("no source")), ExitCode.CANNOT_TELL),
        ((OSError(28, "No space left on device"), CaseFailed("3 of 100 differ")), ExitCode.FAILS),
        ((ZeroDivisionError("division by zero"),), ExitCode.FAILS),
        ((), ExitCode.HOLDS),
    ],
)
def test_what_the_host_lacks_is_no_failure(errors: tuple[Exception, ...], code: ExitCode) -> None:
    """Seen: a full disk made cases fail, and the check beside a healthy rollout rolled it back."""

    def breaks(error: Exception) -> EvalCase:
        def check(_: Context) -> str:
            raise error

        return EvalCase(type(error).__name__, check)

    cases = [EvalCase("good", lambda _: "1 of 1"), *map(breaks, errors)]
    assert evaluation._code(list(run_cases(cases, context()))) is code


def test_a_case_that_is_not_known_is_refused() -> None:
    with pytest.raises(DataError, match="case is 'moon'; allowed: config_round_trip"):
        chosen(CASES, ["moon"])


def test_junit_says_what_failed() -> None:
    outcomes = [EvalResult("good", True, "1 < 2 & fine", 0.5), EvalResult("bad", False, "broke\x00 <it>", 0.25)]
    suite = ElementTree.fromstring(junit_xml(outcomes))
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("2", "1")
    good, bad = suite
    assert (good.attrib["name"], good.find("failure"), good.findtext("system-out")) == ("good", None, "1 < 2 & fine")
    failure = bad.find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "broke  <it>"
    assert float(suite.attrib["time"]) == 0.75
