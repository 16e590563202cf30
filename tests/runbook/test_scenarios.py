"""The scenarios: what they expect holds for the product as it is, and fails for a product that is broken."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import binom, nct, norm

from suffice.decision.paired_mean import PairedMean
from suffice.decision.proportion import Proportion
from suffice.errors import DataError
from suffice.resolution import judge
from suffice.resolution.classify import Kind
from suffice.resolution.storm import StormPolicy, StormState
from suffice.runbook.scenarios import run as running
from suffice.runbook.scenarios.catalogue import SCENARIOS, named
from suffice.runbook.scenarios.chance import SURPRISE, acceptance, boundary_shift, least, most
from suffice.runbook.scenarios.run import run
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Setting
from suffice.serving.served import Served
from suffice.stopping.make import plan
from suffice.stopping.plan import Plan
from suffice.stopping.run import Boundary

IDS = [scenario.id for scenario in SCENARIOS]
PLAN = plan(Proportion(0.8), 256, 0.01, look_every=8)


def setting(used: Plan = PLAN, policy: StormPolicy = StormPolicy(3), seed: int = 42) -> Setting:  # noqa: B008
    return Setting(used, seed, policy, 1.5, "test")


def failures(scenario: Scenario, under: Setting) -> list[str]:
    """What does not hold in any of the scenario's cells."""
    return [check.what for params in scenario.cells() for check in run(scenario, params, under)[1] if not check.holds]


def test_the_issues_scenarios_are_all_there() -> None:
    assert IDS == [
        "small_noise",
        "large_outlier",
        "context_swap",
        "poisoned_source",
        "rollback_storm",
        "boundary_effect",
        "heavy_tail",
        "drifting_draws",
        "front_loaded_draws",
        "zero_variance",
        "non_finite_draws",
        "counterfactual_negative_gain",
    ]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_expectations_are_about_the_product_and_not_about_a_seed(scenario: Scenario) -> None:
    """With the configured seed they hold in `test_adversarial.py`."""
    assert failures(scenario, setting(seed=7)) == []


@pytest.fixture(scope="module")
def mean_plan() -> Plan:
    return plan(PairedMean(), 256, 0.01, look_every=8)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_they_hold_for_the_rule_of_old_deployments(scenario: Scenario, mean_plan: Plan) -> None:
    assert failures(scenario, setting(mean_plan)) == []


@pytest.mark.parametrize("policy", [StormPolicy(1), StormPolicy(None)], ids=["first rollback", "off"])
@pytest.mark.parametrize(
    "name", ["large_outlier", "rollback_storm", "non_finite_draws", "counterfactual_negative_gain"]
)
def test_they_hold_for_other_storm_policies(name: str, policy: StormPolicy) -> None:
    assert failures(named([name])[0], setting(policy=policy)) == []


ALWAYS_REJECTS = replace(PLAN, boundaries=(Boundary(8, 8, None),))
ALWAYS_ACCEPTS = replace(PLAN, boundaries=(Boundary(8, None, 0),))
MARGIN = plan(Proportion(0.8), 256, 0.01, method="margin")


class LateStorm(StormPolicy):
    """Escalates one rollback too late."""

    def after(self, state: StormState, *, accepted: bool) -> StormState:
        return StormPolicy(4).after(state, accepted=accepted)


class RepeatedStorm(StormPolicy):
    """Forgets that a target needs review, and so never does."""

    def after(self, state: StormState, *, accepted: bool) -> StormState:
        return replace(super().after(state, accepted=accepted), needs_review=False)


@dataclass(frozen=True, slots=True)
class Blind(Proportion):
    """Takes a draw that is no number for a failure."""

    def observations(self, draws, direction: int) -> list[float]:
        return [float(value) for value in np.nan_to_num(Proportion.observations(self, draws, direction), nan=0.0)]


def lying_audit(*arguments, **options) -> Served:
    served = serve_adaptive(*arguments, **options)
    return replace(served, baseline=served.adaptive)


serve_adaptive = running.serve_adaptive
Sabotage = Callable[[pytest.MonkeyPatch], Setting]


def with_plan(used: Plan) -> Sabotage:
    return lambda _: setting(used)


def with_policy(policy: StormPolicy) -> Sabotage:
    return lambda _: setting(policy=policy)


def with_lying_audits(monkeypatch: pytest.MonkeyPatch) -> Setting:
    monkeypatch.setattr(running, "serve_adaptive", lying_audit)
    return setting()


def with_one_kind(monkeypatch: pytest.MonkeyPatch) -> Setting:
    monkeypatch.setattr(judge, "classify", lambda *_: Kind.MIS_MEASUREMENT)
    return setting()


def without_the_guard_against_losses(monkeypatch: pytest.MonkeyPatch) -> Setting:
    monkeypatch.setattr(judge, "_moves_away", lambda *_: False)
    return setting(ALWAYS_ACCEPTS)


def with_rollbacks_that_change(monkeypatch: pytest.MonkeyPatch) -> Setting:
    def settle(before, proposed, outcome, policy):
        kept = settle_right(before, proposed, outcome, policy)
        return replace(kept, value=proposed.value)

    settle_right = judge._settle
    monkeypatch.setattr(judge, "_settle", settle)
    return setting()


SABOTAGES: list[tuple[str, Sabotage]] = [
    ("small_noise", with_plan(ALWAYS_REJECTS)),
    ("large_outlier", with_plan(ALWAYS_ACCEPTS)),
    ("large_outlier", with_rollbacks_that_change),
    ("context_swap", with_one_kind),
    ("poisoned_source", with_plan(ALWAYS_REJECTS)),
    ("rollback_storm", with_policy(LateStorm(3))),
    ("rollback_storm", with_policy(RepeatedStorm(3))),
    ("boundary_effect", with_plan(MARGIN)),
    ("heavy_tail", with_plan(ALWAYS_ACCEPTS)),
    ("drifting_draws", with_lying_audits),
    ("front_loaded_draws", with_lying_audits),
    ("front_loaded_draws", with_plan(ALWAYS_ACCEPTS)),
    ("zero_variance", with_plan(ALWAYS_REJECTS)),
    ("non_finite_draws", with_plan(replace(PLAN, rule=Blind(0.8)))),
    ("counterfactual_negative_gain", without_the_guard_against_losses),
]


@pytest.mark.parametrize(("name", "sabotage"), SABOTAGES, ids=lambda part: part if isinstance(part, str) else "")
def test_each_expectation_fails_for_a_product_that_is_broken(
    monkeypatch: pytest.MonkeyPatch, name: str, sabotage: Sabotage
) -> None:
    assert failures(named([name])[0], sabotage(monkeypatch)) != []


def test_every_scenario_is_sabotaged() -> None:
    assert {name for name, _ in SABOTAGES} == set(IDS)


def test_a_name_that_is_not_known_is_refused() -> None:
    with pytest.raises(DataError, match="scenario is 'moon'; allowed: small_noise"):
        named(["small_noise", "moon"])


def test_a_grid_is_every_combination() -> None:
    scenario = named(["poisoned_source"])[0]
    assert scenario.cells({"bias": (1, 2)}) == [
        {"bias": bias, "precision": precision} for bias in (1, 2) for precision in (10.0, 1000.0)
    ]


@pytest.mark.parametrize("trials", [1, 5, 100, 5000])
def test_no_surprise_is_what_scipys_binomial_says(trials: int) -> None:
    for probability in np.linspace(0.0005, 0.9995, 50):
        assert most(trials, probability) == binom.isf(SURPRISE, trials, probability)
        assert least(trials, probability) == trials - binom.isf(SURPRISE, trials, 1 - probability)
    assert (most(trials, 0.0), most(trials, 1.0)) == (0, trials)


@pytest.mark.parametrize("shift", [0.0, 0.05, -0.2, 0.4])
def test_the_chance_of_acceptance_is_scipys(shift: float) -> None:
    critical, far = PairedMean().critical(64), abs(shift) * 8
    two_sided = nct.sf(critical, 63, far) + nct.cdf(-critical, 63, far)
    assert acceptance(PairedMean(), 64, shift) == pytest.approx(two_sided, abs=1e-11)
    share = norm.cdf(shift)
    assert acceptance(Proportion(0.5), 64, shift) == pytest.approx(binom.sf(31, 64, share), rel=1e-12)
    assert acceptance(Proportion(0.0), 64, shift) == 1.0


@pytest.mark.parametrize("rule", [Proportion(0.8), PairedMean()], ids=lambda rule: rule.name)
@pytest.mark.parametrize("shift", [0.0, 0.15, 0.8, 3.0])
def test_the_chance_of_acceptance_is_what_simulation_says(rule, shift: float) -> None:
    n, trials = 64, 2000
    draws = np.random.default_rng(5).normal(shift, 1.0, (trials, n))
    accepted = 0
    for sample in draws:
        tally = rule.tally()
        tally.add((sample > 0).astype(float).tolist() if isinstance(rule, Proportion) else sample.tolist())
        accepted += rule.decide(tally).name == "ACCEPTED"
    chance = acceptance(rule, n, shift)
    assert accepted / trials == pytest.approx(chance, abs=5 * (chance * (1 - chance) / trials) ** 0.5 + 1e-9)


@pytest.mark.parametrize("rule", [Proportion(0.8), PairedMean()], ids=lambda rule: rule.name)
def test_the_boundary_is_where_the_baseline_is_undecided(rule) -> None:
    assert acceptance(rule, 256, boundary_shift(rule, 256, 0.0)) == pytest.approx(0.5, abs=0.03)
    assert acceptance(rule, 256, boundary_shift(rule, 256, -2.0)) < 0.06
    assert acceptance(rule, 256, boundary_shift(rule, 256, 3.0)) > 0.99


def test_bounds_on_counts_are_surprised_as_rarely_as_they_say() -> None:
    from scipy.stats import binom

    high, low = most(150, 0.01), least(150, 0.99)
    assert binom.sf(high, 150, 0.01) <= SURPRISE < binom.sf(high - 1, 150, 0.01)
    assert low == 150 - high
    assert (most(10, 0.0), most(10, 1.0), least(10, 0.0), least(10, 1.0)) == (0, 10, 0, 10)
