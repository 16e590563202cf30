"""Method `optimal`: the plan of least average sample number under the bound (`optimal_counts`, `optimal_means`)."""

from suffice.decision.counts import CountRule
from suffice.decision.means import MeanRule
from suffice.stopping.brownian import allowed_looks, brownian_budget
from suffice.stopping.optimal_counts import optimal_counts
from suffice.stopping.optimal_means import least_asn, optimal_means
from suffice.stopping.request import Design, Request


def design_counts(request: Request, rule: CountRule) -> Design:
    budget = request.budget
    found = optimal_counts(request.n, rule.threshold(request.n), request.looks, budget.accept, budget.reject)
    return Design(found.boundaries, found.lower_bound)


def design_means(request: Request, rule: MeanRule) -> Design:
    """The table uses a part of the budget, in reserve for real draws; the lower bound is for all of it."""
    critical, looks = rule.critical(request.n), allowed_looks(request.looks)
    budget = brownian_budget(request.budget, guarded=request.guarded)
    found = optimal_means(request.n, critical, looks, budget, two_sided=rule.two_sided)
    return Design(found, least_asn(request.n, critical, looks, request.budget, two_sided=rule.two_sided))
