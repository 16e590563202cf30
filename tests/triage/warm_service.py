"""A service whose sampler warms up in a part of its features, and the audits of its shadow stage."""

from dataclasses import replace

import numpy as np
from audited import LARGE, Sampler, audits, case

from suffice.store.decision_row import DecisionRow
from suffice.triage.region import Features
from suffice.verifier.case import Case

MODELS = ("a", "b", "c")


def looks(rng: np.random.Generator) -> Features:
    return {
        "heat": float(rng.uniform(20, 90)),
        "load": float(rng.uniform(0, 1)),
        "model": str(rng.choice(MODELS)),
        "size": int(rng.integers(1, 9)),
        "site": "north",
    }


def warms_up(features: Features) -> bool:
    """In 3.8 % of the cases."""
    return float(features["heat"]) >= 70 and float(features["load"]) <= 0.4 and features["model"] == "b"


def built(key: str, features: Features) -> Case:
    """A truth that the features do not tell; where it warms up, an eighth of the draws fails at first."""
    rng = np.random.default_rng(int.from_bytes(key.encode(), "big") % 2**63)
    wrong = warms_up(features)
    return case(key, Sampler(rng.uniform(0.85 if wrong else 0.5, 1.0), LARGE.n // 8 if wrong else 0), features)


def shadow(count: int, seed: int) -> list[DecisionRow]:
    rng = np.random.default_rng(seed)
    return audits([built(f"{seed}-{number}", looks(rng)) for number in range(count)], LARGE, seed)


def build(*, key: str, target: str, region: str | None, features: Features) -> Case:
    """What `verifier.cases` names."""
    assert isinstance(features["size"], int)
    assert features["site"] == "north"
    return replace(built(key, features), target=target, region=region)
