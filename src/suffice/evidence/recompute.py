"""Decisions of the ledger, decided again in a fresh process.

`python -m suffice.evidence.recompute` reads what to decide as JSON from standard input and writes a line of JSON for
each decision to standard output; `recompute` starts it and compares.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suffice import strict_json
from suffice.decision.rule import Decision
from suffice.errors import DataError, SufficeError
from suffice.serving.served import serve_adaptive
from suffice.sources.built import Builder, one_line
from suffice.sources.recipe import Recipe, case_of
from suffice.stopping.plan import Plan

if TYPE_CHECKING:
    # The fresh process needs no database, and starts in two thirds of the time without.
    from suffice.store.decision_row import DecisionRow


@dataclass(frozen=True, slots=True)
class Recomputed:
    """How many decisions were decided again, how many came out otherwise, and the key of the first of them."""

    decisions: int = 0
    differing: int = 0
    first: str | None = None


def recompute(
    pairs: Sequence[tuple["DecisionRow", Recipe]], plan: Plan, builder: Builder | None = None, seconds: float = 60.0
) -> Recomputed:
    """Decide again in a fresh process, as many as are done in so many seconds.

    Raises DataError, with what a service's own code did, when a case cannot be built or decided, or none was in time.
    """
    request = {
        "plan": plan.to_dict(),
        "builder": builder and [builder.name, str(builder.folder)],
        "decisions": [
            {"key": row.key, "target": row.target, "seed": row.seed, "baseline": _seen(row), "of": recipe}
            for row, recipe in pairs
        ],
    }
    command = [sys.executable, "-P", "-m", "suffice.evidence.recompute"]
    try:
        done = subprocess.run(
            command, input=json.dumps(request).encode(), capture_output=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired as late:
        answers = _answers(late.stdout or b"")
        if not answers:
            raise DataError(f"recorded decisions cannot be recomputed: none was in {seconds:,.0f} s") from None
    else:
        if done.returncode != 0:
            last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            raise DataError(f"recorded decisions cannot be recomputed: {last}")
        answers = _answers(done.stdout)
    keys = [row.key for (row, _), answer in zip(pairs, answers, strict=False) if not _equal(row, answer)]
    return Recomputed(len(answers), len(keys), keys[0] if keys else None)


def _answers(printed: bytes) -> list[dict[str, Any]]:
    """What whole lines say."""
    answers = [strict_json.loads(line) for line in printed.split(b"\n")[:-1]]
    for answer in answers:
        if "error" in answer:
            raise DataError(f"recorded decisions cannot be recomputed: {answer['error']}")
    return [{n: Decision(v) if n.endswith("_decision") else v for n, v in answer.items()} for answer in answers]


def _decided(asked: dict[str, Any], plan: Plan, builder: Builder | None) -> dict[str, Any]:
    """What the adaptive path decides, as production runs it; beside it the baseline, where that was seen."""
    case = case_of(asked["of"], asked["key"], asked["target"], builder)
    try:
        served = serve_adaptive(case, plan, asked["seed"], audited=asked["baseline"])
    except SufficeError:
        raise
    except Exception as error:
        raise DataError(f"the sampler of case {case.key!r} raised {one_line(error)}") from error
    verdicts = {"adaptive": served.adaptive or served.verdict, "baseline": served.baseline}
    return {
        name: value
        for path, verdict in verdicts.items()
        if verdict is not None
        for name, value in ((f"{path}_decision", verdict.decision.value), (f"{path}_n", verdict.n))
    }


def _seen(row: "DecisionRow") -> bool:
    """Whether the row says what the baseline decides."""
    return row.baseline_decision is not None or not row.is_adaptive


def _equal(row: "DecisionRow", answer: dict[str, Any]) -> bool:
    known = {name: getattr(row, name) for name in answer}
    arm = "adaptive" if row.is_adaptive else "baseline"
    if known[f"{arm}_decision"] is None:
        known |= {f"{arm}_decision": row.decision, f"{arm}_n": row.n}
    return all(value is None or value == answer[name] for name, value in known.items())


def main() -> None:
    """Decide what standard input asks for."""
    request = strict_json.loads(sys.stdin.buffer.read())
    # What a service's code prints must not come between the answers.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        plan = Plan.from_dict(request["plan"])
        builder = request["builder"] and Builder(request["builder"][0], Path(request["builder"][1]))
        try:
            for asked in request["decisions"]:
                answers.write(json.dumps(_decided(asked, plan, builder)) + "\n")
                answers.flush()
        except SufficeError as error:
            answers.write(json.dumps({"error": str(error)}) + "\n")


if __name__ == "__main__":
    main()
