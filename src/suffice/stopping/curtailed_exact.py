"""Method `curtailed-exact`: stop when no continuation can change the decision (disagreement 0, for counts).

Source: Alling 1963, "Early decision in the Wilcoxon two-sample test"; "curtailed sampling" since Dodge & Romig 1929.
"""

from suffice.stopping.request import Design, Request
from suffice.stopping.run import Boundary


def design_counts(request: Request) -> Design:
    """Accept at `threshold` successes, reject at N − threshold + 1 failures, whenever a look comes."""
    threshold = request.rule.critical(request.n)
    spare = request.n - threshold

    def boundary(n: int) -> Boundary:
        return Boundary(n, n - spare - 1 if n > spare else None, threshold if n >= threshold else None)

    return Design(tuple(boundary(n) for n in request.looks))
