"""A case: one thing to decide."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from suffice.errors import DataError, shown
from suffice.sampling.draw import as_finite
from suffice.sampling.sampler import Sampler

Features: TypeAlias = Mapping[str, float | str]
"""What a case looks like: names to finite numbers or short texts."""

MOST_FEATURES, LONGEST_NAME, LONGEST_TEXT = 20, 64, 256
"""How many features a case may have, and how long their names and texts may be, in characters."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to decide. `key` is unique and names the stream; `target` is the record or item it is about.

    A case whose draws its owner makes and tells (`Verifier.begin`) has no `sampler`.

    `direction` is the sign of the claimed change (+1, −1, or 0 for none) and matters only for pairs. `effect` is the
    truth, in standard errors from the rule's decision boundary, where a generated case knows it.

    In production, `features` are kept with the decision (see `features_text`), and `cost` is that of one draw, from 0
    to 1e15 in whatever unit its owner counts in. A case that is not `eligible` is never adaptive nor audited, and
    leaves the share of the arms. A call of the sampler that raised is made again `retries` times.
    """

    key: str
    target: str
    sampler: Sampler | None = None
    region: str | None = None
    direction: int = 1
    effect: float | None = None
    features: Features = field(default_factory=dict, hash=False)
    cost: float | None = None
    eligible: bool = True
    retries: int = 0


def features_text(case: Case) -> str | None:
    """The features as JSON with sorted names, None for none.

    Raises DataError, naming the case, unless there are at most 20, with names of at most 64 characters, each a finite
    number or a text of at most 256 characters that a database takes.
    """
    # Not the abstract class: asking it takes longer than all the rest of a case without features.
    if type(case.features) is dict and not case.features:
        return None
    if not isinstance(case.features, Mapping):
        raise DataError(f"case {case.key!r} has features {shown(case.features)}; allowed: names to numbers or texts")
    if len(case.features) > MOST_FEATURES:
        raise DataError(f"case {case.key!r} has {len(case.features)} features; allowed: at most {MOST_FEATURES}")
    plain = {_name(case, name): _value(case, name, value) for name, value in case.features.items()}
    return json.dumps(plain, ensure_ascii=True, separators=(",", ":"), sort_keys=True)


def _name(case: Case, name: object) -> str:
    if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and _is_storable(name):
        return name
    raise DataError(
        f"case {case.key!r}: {shown(name)} names a feature; allowed: text of 1 to {LONGEST_NAME} characters"
    )


def _value(case: Case, name: str, value: object) -> float | str:
    if isinstance(value, str) and len(value) <= LONGEST_TEXT and _is_storable(value):
        return value
    number = as_finite(value)
    if number is not None:
        return int(value) if isinstance(value, int) else number
    allowed = f"a finite number, or a text of at most {LONGEST_TEXT} characters"
    raise DataError(f"case {case.key!r}: feature {name} is {shown(value)}; allowed: {allowed}")


def _is_storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
