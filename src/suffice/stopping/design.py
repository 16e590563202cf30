"""`suffice.plan`: from a request to a plan whose table was evaluated as written."""

from collections.abc import Iterable

from suffice.decision.counts import CountRule
from suffice.decision.means import MeanRule
from suffice.decision.rule import Rule
from suffice.errors import PlanError
from suffice.stopping import curtailed, curtailed_exact, fixed, margin, optimal
from suffice.stopping.budget import Budget, MaxDisagreement
from suffice.stopping.cache import PlanCache
from suffice.stopping.calibrate import strain
from suffice.stopping.looks import checked_looks, default_looks, default_mean_looks, even_looks
from suffice.stopping.operating import operating
from suffice.stopping.operating_counts import CountOperating
from suffice.stopping.plan import Guarantee, Plan
from suffice.stopping.request import Design, Margin, Request

GUARDED = ("optimal", "curtailed")
METHODS = ("optimal", "curtailed", "curtailed-exact", "margin", "fixed")


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
    request = _request(rule, n, method, Budget.of(max_disagreement), looks, look_every, n_min, margin, guarded=guarded)
    if cache is None:
        return _make(request)
    return cache.get(request, lambda: _make(request))


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
    if isinstance(n, bool) or not isinstance(n, int):
        raise PlanError(f"n is {n!r}; allowed: a whole number of draws")
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
        usual = default_mean_looks if isinstance(rule, MeanRule) else default_looks
        chosen = usual(n) if look_every is None else even_looks(n, look_every, n_min)
    return Request(
        rule, n, method, budget, chosen, options, guarded and method in GUARDED and isinstance(rule, MeanRule)
    )


def _make(request: Request) -> Plan:
    designed = _design(request)
    found = operating(request.rule, request.n, designed.boundaries)
    worst, worst_at = found.worst()
    kept = strain(found, request.budget) <= 1
    if not kept and request.method != "margin":
        raise PlanError(
            f"the table of method {request.method} disagrees in up to {worst:.6g} of decisions; "
            f"allowed: {request.budget.value}"
        )
    never_stops = not designed.boundaries
    held: Guarantee = "exact" if isinstance(found, CountOperating) or never_stops else "asymptotic"
    return Plan(
        rule=request.rule,
        n=request.n,
        method=request.method,
        guarantee=held if kept else "none",
        max_disagreement=request.budget.value,
        boundaries=designed.boundaries,
        uniform_asn=found.mean_asn(),
        worst_disagreement=worst,
        worst_at=worst_at,
        lower_bound=designed.lower_bound,
        guarded=request.guarded,
    )


def _design(request: Request) -> Design:
    rule = request.rule
    if request.method == "fixed":
        return fixed.design(request)
    if isinstance(rule, CountRule):
        return _COUNTS[request.method](request, rule)
    if isinstance(rule, MeanRule) and request.method in _MEANS:
        return _MEANS[request.method](request, rule)
    raise PlanError(
        f"method {request.method} is not made for rule {rule.name}; allowed: {', '.join(('fixed', *_MEANS))}"
    )


_COUNTS = {
    "optimal": optimal.design_counts,
    "curtailed": curtailed.design_counts,
    "curtailed-exact": curtailed_exact.design,
    "margin": margin.design_counts,
}
_MEANS = {"optimal": optimal.design_means, "curtailed": curtailed.design_means, "margin": margin.design_means}
