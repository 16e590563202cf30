"""The flag as a flagd document: built from an exposure, and read back only if it is exactly such a document."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from suffice import strict_json
from suffice.errors import DataError
from suffice.verifier.arm import Arm

FLAG = "adaptive-sampling"
REGION = "region"
EPOCH = "suffice_epoch"
"""The key of the document's metadata that holds the epoch of the word that it was exported from."""
PERCENT = 100
_FORMAT = 1
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Exposure:
    """Who is on the adaptive arm: `weight` percent of the targets, in `regions` only (none named: in all).

    Sticky by target and salt, and monotone: raising the weight, or adding a region, moves no target out of adaptive.
    Raises DataError for a weight that is not a whole number from 0 to 100, an empty salt or an impossible region.
    """

    weight: int
    salt: str
    regions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.weight, int) or isinstance(self.weight, bool) or not 0 <= self.weight <= PERCENT:
            raise DataError(f"flag: the weight is {self.weight!r}; allowed: a whole number from 0 to {PERCENT}")
        if not isinstance(self.salt, str) or not self.salt:
            raise DataError(f"flag: the salt is {self.salt!r}; allowed: a text that is not empty")
        if not all(isinstance(region, str) and region for region in self.regions):
            raise DataError(f"flag: the regions are {list(self.regions)!r}; allowed: names that are not empty")
        if len(set(self.regions)) < len(self.regions):
            raise DataError(f"flag: the regions are {list(self.regions)!r}; allowed: each name once")


def in_words(exposure: Exposure | None) -> str:
    """An exposure as a person reads it; None is the baseline."""
    if exposure is None:
        return "baseline, 0 % adaptive"
    where = ", ".join(exposure.regions) or "all regions"
    return f"{exposure.weight} % adaptive in {where}"


def bucket_by(salt: str) -> dict[str, Any]:
    """What is hashed. flagd's shorthand would not do: its salt is the flag's name, the same in every rollout."""
    return {"cat": [salt, "/", {"var": "targetingKey"}]}


def document(exposure: Exposure | None, epoch: int | None = None) -> dict[str, Any]:
    """The flagd document of an exposure. That of None is the baseline: no targeting, everybody on fixed.

    `epoch` is that of the word that the document was exported from, None where none stands behind it.
    """
    flag: dict[str, Any] = {
        "state": "ENABLED",
        "variants": {arm.value: arm.value for arm in Arm},
        "defaultVariant": Arm.FIXED.value,
    }
    if exposure is not None:
        flag["targeting"] = _targeting(exposure)
    of_word = {} if epoch is None else {EPOCH: epoch}
    return {"metadata": {"suffice_format": _FORMAT, **of_word}, "flags": {FLAG: flag}}


def to_text(exposure: Exposure | None, epoch: int | None = None) -> str:
    """The document as JSON, in ASCII: flagd's file provider reads it in whatever encoding the machine prefers."""
    return json.dumps(document(exposure, epoch), indent=2, ensure_ascii=True) + "\n"


def from_text(text: str, where: str = "flag document") -> Exposure | None:
    """The exposure that a document publishes, None for the baseline.

    The schema is the writer itself: it refuses anything that `to_text` would not write, down to one extra key.
    Raises DataError with the first place that differs.
    """
    try:
        content = strict_json.loads(text)
    except ValueError as error:
        raise DataError(f"{where}: {strict_json.wrong_with(error)}") from error
    exposure = _exposure(content, where)
    for path, value, allowed in _differences(content, document(exposure, _epoch(content)), ""):
        raise DataError(f"{where}: {path} is {_shown(value)}; allowed: {_shown(allowed)}")
    return exposure


def epoch_of(text: str) -> int | None:
    """The epoch of the word that a document was exported from, None where it names none or cannot be read."""
    try:
        return _epoch(strict_json.loads(text))
    except ValueError:
        return None


def _targeting(exposure: Exposure) -> dict[str, Any]:
    # Without the first condition all requests that bring no targeting key would share one bucket.
    conditions: list[dict[str, Any]] = [{"!!": [{"var": "targetingKey"}]}]
    if exposure.regions:
        conditions.append({"in": [{"var": REGION}, list(exposure.regions)]})
    # Adaptive comes first and the weights add up to 100 at every weight: that is what makes it monotone.
    split = [[Arm.ADAPTIVE.value, exposure.weight], [Arm.FIXED.value, PERCENT - exposure.weight]]
    return {"if": [{"and": conditions}, {"fractional": [bucket_by(exposure.salt), *split]}, Arm.FIXED.value]}


def _exposure(content: Any, where: str) -> Exposure | None:
    """What the document seems to say. The caller then asks whether it says only that."""
    try:
        flag = content["flags"][FLAG]
        if "targeting" not in flag:
            return None
        condition, fractional, _ = flag["targeting"]["if"]
        bucketed, adaptive, _ = fractional["fractional"]
        regions = condition["and"][1]["in"][1] if len(condition["and"]) > 1 else ()
        return Exposure(weight=adaptive[1], salt=bucketed["cat"][0], regions=tuple(regions))
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise DataError(f"{where}: not a document of the flag {FLAG!r} as Suffice writes it") from error
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _epoch(content: Any) -> int | None:
    try:
        epoch = content["metadata"][EPOCH]
    except (KeyError, TypeError):
        return None
    return epoch if type(epoch) is int and epoch >= 0 else None


def _differences(value: Any, wanted: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if type(value) is not type(wanted):
        yield path, value, wanted
    elif isinstance(wanted, dict):
        for key in sorted({*value, *wanted}):
            yield from _differences(value.get(key, _ABSENT), wanted.get(key, _ABSENT), f"{path}.{key}".lstrip("."))
    elif isinstance(wanted, list):
        for index, pair in enumerate(zip_longest(value, wanted, fillvalue=_ABSENT)):
            yield from _differences(*pair, f"{path}[{index}]")
    elif value != wanted:
        yield path, value, wanted


def _shown(value: Any) -> str:
    return "nothing" if value is _ABSENT else json.dumps(value)
