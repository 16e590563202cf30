"""Which bucket a target falls in, whether it keeps it, and which targets are audited."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from importlib.metadata import version
from typing import Any

from suffice.errors import DataError
from suffice.flag.answer import Flag
from suffice.flag.document import PERCENT, Exposure, bucket_by
from suffice.verifier.arm import Arm

_EVALUATOR = "openfeature-flagd-core"
_FLAG = "bucket"
_HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Sample:
    """The buckets (0 to 99) of some targets, as the evaluator of one version gave them."""

    salt: str
    evaluator: str
    buckets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Moved:
    """A target that is not where it was."""

    target: str
    was: int
    now: int


def buckets(salt: str, targets: Iterable[str]) -> dict[str, int]:
    """The bucket of each target, asked of flagd's own evaluator: adaptive at weight w means a bucket below w."""
    return {target: _bucket(salt, target) for target in targets}


def record(salt: str, targets: Iterable[str]) -> Sample:
    """The sample to keep beside a rollout."""
    return Sample(salt, f"{_EVALUATOR} {version(_EVALUATOR)}", buckets(salt, targets))


def drift(sample: Sample) -> tuple[Moved, ...]:
    """The targets of a recorded sample that the installed evaluator puts elsewhere. There must be none."""
    now = buckets(sample.salt, sample.buckets)
    return tuple(Moved(target, was, now[target]) for target, was in sample.buckets.items() if now[target] != was)


def misplaced(sample: Sample, exposure: Exposure | None, flag: Flag, region: str | None = None) -> tuple[str, ...]:
    """The targets of a recorded sample to which a provider gives another arm than their bucket."""
    return tuple(
        target
        for target, bucket in sample.buckets.items()
        if flag.ask(target, region).arm is not _expected(bucket, sample.salt, exposure, region)
    )


def inside(exposure: Exposure, targets: Iterable[str]) -> tuple[str, ...]:
    """Those of `targets` that `exposure` puts on the adaptive arm in its regions: the probes that prove a rollback."""
    return tuple(target for target, bucket in buckets(exposure.salt, targets).items() if bucket < exposure.weight)


def audited(target: str, salt: str, fraction: float) -> bool:
    """Whether the decisions about `target` are audited, for about `fraction` of targets. It is fixed before any draw.

    A keyed BLAKE2b hash of the target decides. It is independent of the arm, which another hash and another salt
    choose. Monotone: a larger fraction audits all that a smaller one does. Raises DataError unless 0 ≤ fraction ≤ 1.
    """
    if not 0 <= fraction <= 1:
        raise DataError(f"audits: the fraction is {fraction!r}; allowed: 0 to 1")
    key = blake2b(salt.encode()).digest()
    drawn = int.from_bytes(blake2b(target.encode(), key=key, digest_size=_HASH_BYTES).digest(), "big")
    return drawn < fraction * 2.0 ** (8 * _HASH_BYTES)


@lru_cache(maxsize=1 << 16)
def _bucket(salt: str, target: str) -> int:
    """Asked once: within a process the evaluator stays the same, and a gate would ask it in every cycle."""
    from openfeature.evaluation_context import EvaluationContext

    return int(_core(salt).resolve_integer_value(_FLAG, -1, EvaluationContext(target)).value)


@lru_cache(maxsize=8)
def _core(salt: str) -> Any:
    from openfeature.contrib.tools.flagd.core import FlagdCore

    core = FlagdCore()
    core.set_flags(json.dumps(_bucket_document(salt)))
    return core


def _bucket_document(salt: str) -> dict[str, Any]:
    names = [str(bucket) for bucket in range(PERCENT)]
    flag = {
        "state": "ENABLED",
        "variants": {name: int(name) for name in names},
        "defaultVariant": names[0],
        "targeting": {"fractional": [bucket_by(salt), *([name, 1] for name in names)]},
    }
    return {"flags": {_FLAG: flag}}


def _expected(bucket: int, salt: str, exposure: Exposure | None, region: str | None) -> Arm:
    if exposure is None or (exposure.regions and region not in exposure.regions):
        return Arm.FIXED
    if exposure.salt != salt:
        raise DataError(f"flag: the sample was recorded with the salt {salt!r}, the exposure has {exposure.salt!r}")
    return Arm.ADAPTIVE if bucket < exposure.weight else Arm.FIXED
