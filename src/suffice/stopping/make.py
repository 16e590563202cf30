"""The one translator to a plan: from a rule, N and the agreed disagreement, or from a configuration.

Whatever method made the table, it is evaluated as written, and refused when it does not keep its bound.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from suffice.decision.rule import Rule
from suffice.decision.rules import rule_of
from suffice.errors import PlanError
from suffice.stopping import margin
from suffice.stopping.budget import Budget, MaxDisagreement
from suffice.stopping.cache import PlanCache
from suffice.stopping.looks import MOST_DRAWS, checked_looks, default_looks, default_mean_looks, even_looks, whole
from suffice.stopping.plan import Guarantee, Plan
from suffice.stopping.request import Design, Margin, Request

if TYPE_CHECKING:
    from suffice.config import VerifierConfig

METHODS = ("optimal", "curtailed", "curtailed-exact", "margin", "fixed")
GUARDED = ("optimal", "curtailed")


def plan(
    rule: Rule,
    n: int,
    max_disagreement: MaxDisagreement = 0.01,
    *,
    method: str = "optimal",
    looks: Iterable[int] | None = None,
    look_every: int | None = None,
    n_min: int | None = None,
    margin: Margin = Margin(),  # noqa: B008
    guarded: bool = False,
    cache: PlanCache | None = None,
) -> Plan:
    """The stopping plan for `n` draws under `rule` with at most this disagreement.

    Give `looks` (sizes below n), or `look_every` (with the first look at `n_min`, else at `look_every`), or neither for
    the default schedule; `margin` belongs to the method of that name, which chooses its looks itself. With a `cache`, a
    plan made before is read instead of solved. `guarded` is for a rule on means and draws of unknown shape (neither
    normal nor split normal): the table keeps more in reserve and runs apply the guard; count rules need none and ignore
    it. Raises PlanError for an impossible request, and when the finished table
    exceeds `max_disagreement` (never for `margin`, which has no bound: its plan then carries the guarantee "none").
    """
    if not isinstance(rule, Rule):
        raise PlanError(f"rule is {rule!r}; allowed: a decision rule like suffice.Proportion(at_least=0.8)")
    budget, size = Budget.of(max_disagreement), whole(n)
    if size is None:
        raise PlanError(f"n is {n!r}; allowed: a whole number of draws")
    request = _request(rule, size, method, budget, looks, look_every, n_min, margin, guarded=guarded)
    if cache is None:
        return _make(request)
    return cache.get(request, lambda: _make(request))


def configured_rule(section: "VerifierConfig") -> Rule:
    """The baseline that the configuration describes."""
    parameters = {
        "proportion": {"at_least": section.confidence_threshold},
        "paired_mean": {"alpha": section.p_threshold, "min_effect": section.min_effect_size},
    }
    return rule_of(section.rule, parameters[section.rule])


def configured_plan(section: "VerifierConfig", cache: PlanCache | None, folder: Path) -> Plan:
    """The plan that production runs: the pinned `plan_file` (relative to `folder`), else the one that the section
    describes.

    A pinned plan is read, never solved. Raises PlanError when it was edited, or made for another rule, threshold or N.
    """
    rule, sampling = configured_rule(section), section.adaptive_sampling
    if sampling.plan_file is not None:
        path = folder / sampling.plan_file
        return fitting(Plan.load(path), rule, section.n_samples, str(path))
    return plan(
        rule,
        section.n_samples,
        sampling.max_disagreement,
        method=sampling.method,
        look_every=sampling.look_every,
        n_min=sampling.n_min,
        margin=Margin.of(sampling),
        cache=cache,
    )


def fitting(plan: Plan, rule: Rule, n: int, where: str) -> Plan:
    """The plan, when it was made for this rule and N. Raises PlanError otherwise."""
    if plan.rule != rule:
        raise PlanError(f"{where}: the plan is for {plan.rule}; the configuration has {rule}")
    if plan.n != n:
        raise PlanError(f"{where}: the plan is for N = {plan.n}; the configuration has n_samples = {n}")
    return plan


def _request(
    rule: Rule,
    n: int,
    method: str,
    budget: Budget,
    looks: Iterable[int] | None,
    look_every: int | None,
    n_min: int | None,
    options: Margin,
    *,
    guarded: bool,
) -> Request:
    if n > MOST_DRAWS:
        raise PlanError(f"n is {n:,}; allowed: up to {MOST_DRAWS:,} draws")
    rule.check_n(n)
    if method not in METHODS:
        raise PlanError(f"method is {method!r}; allowed: {', '.join(METHODS)}")
    if looks is not None and look_every is not None:
        raise PlanError("looks and look_every are both given; allowed: one of them")
    if method == "fixed":
        chosen: tuple[int, ...] = ()
    elif method == "margin":
        chosen = margin.looks(n, options)
    elif looks is not None:
        chosen = checked_looks(n, looks)
    else:
        usual = default_looks if rule.counts else default_mean_looks
        chosen = usual(n) if look_every is None else even_looks(n, look_every, n_min)
    return Request(rule, n, method, budget, chosen, options, guarded and method in GUARDED and not rule.counts)


def _make(request: Request) -> Plan:
    from suffice.stopping.calibrate import strain
    from suffice.stopping.operating import operating

    designed = _design(request)
    computed = operating(request.rule, request.n, designed.boundaries)
    worst, worst_at = computed.worst()
    kept = strain(computed, request.budget) <= 1
    if not kept and request.method != "margin":
        raise PlanError(
            f"the table of method {request.method} disagrees in up to {worst:.6g} of decisions; "
            f"allowed: {request.budget.value}"
        )
    held: Guarantee = "exact" if request.rule.counts or not designed.boundaries else "asymptotic"
    return Plan(
        rule=request.rule,
        n=request.n,
        method=request.method,
        guarantee=held if kept else "none",
        max_disagreement=request.budget.value,
        boundaries=designed.boundaries,
        uniform_asn=computed.mean_asn(),
        worst_disagreement=worst,
        worst_at=worst_at,
        lower_bound=designed.lower_bound,
        guarded=request.guarded,
    )


def _design(request: Request) -> Design:
    # Solvers are imported when one is asked for: a plan from the cache needs none, and should not wait for SciPy.
    if request.method == "fixed":
        return Design((), float(request.n))
    if request.method == "margin":
        return margin.design(request)
    from suffice.stopping import curtailed, curtailed_exact, optimal_counts, optimal_means

    counts = {
        "optimal": optimal_counts.design_counts,
        "curtailed": curtailed.design_counts,
        "curtailed-exact": curtailed_exact.design_counts,
    }
    means = {"optimal": optimal_means.design_means, "curtailed": curtailed.design_means}
    designs = counts if request.rule.counts else means
    if request.method not in designs:
        allowed = ", ".join(("fixed", *designs, "margin"))
        raise PlanError(f"method {request.method} is not made for rule {request.rule.name}; allowed: {allowed}")
    return designs[request.method](request)
