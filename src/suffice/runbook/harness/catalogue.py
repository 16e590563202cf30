"""All cases, in the order in which they run: what is quick and fundamental first."""

from suffice.runbook.harness import agreement, reports, storage
from suffice.runbook.harness.case import EvalCase

CASES: tuple[EvalCase, ...] = tuple(
    EvalCase(check.__name__, check, needs)
    for check, needs in (
        (storage.config_round_trip, ""),
        (storage.store_round_trip, ""),
        (storage.reference_workload, ""),
        (storage.provenance_chain, ""),
        (reports.report_shape, ""),
        (reports.deterministic_reproduction, ""),
        (reports.escalation_policy, ""),
        (agreement.agreement_even, ""),
        (agreement.agreement_pdg, "pdg"),
        (agreement.sample_reduction, "pdg"),
        (agreement.excess_escalations, "pdg"),
    )
)
