"""Decisions of the ledger, decided again in a fresh process.

`python -m suffice.evidence.recompute` reads what to decide as JSON from standard input and writes the decisions as
JSON to standard output; `differing` starts it and compares.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from suffice import strict_json
from suffice.decision.rule import Decision
from suffice.errors import DataError
from suffice.sources.correction import Correction, Estimate
from suffice.stopping.plan import Plan
from suffice.verifier.case import Case
from suffice.verifier.loop import decide, decide_fixed, observations

if TYPE_CHECKING:
    # The fresh process needs no database, and starts in two thirds of the time without.
    from suffice.store.decision_row import DecisionRow


def differing(pairs: Sequence[tuple["DecisionRow", Correction]], plan: Plan) -> list[str]:
    """The keys of decisions that a fresh process decides otherwise. Raises DataError when it cannot decide them."""
    request = {"plan": plan.to_dict(), "decisions": [_asked(row, correction) for row, correction in pairs]}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "suffice.evidence.recompute"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DataError(f"recorded decisions cannot be recomputed: {last}")
    answers = [_read(answer) for answer in strict_json.loads(done.stdout)]
    return [row.key for (row, _), answer in zip(pairs, answers, strict=True) if not _equal(row, answer)]


def recompute(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Both decisions of each case that the request describes."""
    plan = Plan.from_dict(request["plan"])
    return [_decided(asked, plan) for asked in request["decisions"]]


def _decided(asked: dict[str, Any], plan: Plan) -> dict[str, Any]:
    before, after = Estimate(*asked["record"]), Estimate(*asked["measurement"])
    correction = Correction(asked["key"], asked["target"], before, after)
    case: Case = correction.case()
    adaptive = decide(case, plan, asked["seed"])
    baseline = decide_fixed(observations(case, plan.rule, plan.n, asked["seed"]), plan.rule)
    return {
        "adaptive_decision": adaptive.decision.value,
        "adaptive_n": adaptive.n,
        "baseline_decision": baseline.decision.value,
        "baseline_n": baseline.n,
    }


def _read(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: Decision(value) if name.endswith("_decision") else value for name, value in answer.items()}


def _asked(row: "DecisionRow", correction: Correction) -> dict[str, Any]:
    record, measurement = correction.record, correction.measurement
    return {
        "key": row.key,
        "target": row.target,
        "seed": row.seed,
        "record": [record.value, record.u_plus, record.u_minus],
        "measurement": [measurement.value, measurement.u_plus, measurement.u_minus],
    }


def _equal(row: "DecisionRow", answer: dict[str, Any]) -> bool:
    known = {name: getattr(row, name) for name in answer}
    arm = "adaptive" if row.is_adaptive else "baseline"
    if known[f"{arm}_decision"] is None:
        known |= {f"{arm}_decision": row.decision, f"{arm}_n": row.n}
    return all(value is None or value == answer[name] for name, value in known.items())


def main(lines: Iterable[str] = sys.stdin) -> None:
    """Decide what standard input asks for."""
    sys.stdout.write(json.dumps(recompute(strict_json.loads("".join(lines)))))


if __name__ == "__main__":
    main()
