"""Whether an exposure puts a target on the adaptive arm, as flagd's own evaluator says."""

from collections.abc import Mapping
from typing import Any

from suffice.errors import DataError
from suffice.flag.document import FLAG, REGION, Exposure, to_text
from suffice.verifier.arm import Arm


class Evaluator:
    """Evaluates the exposure of a word; the flags of the last one are kept. Safe to share between threads."""

    def __init__(self) -> None:
        self._kept: tuple[Mapping[str, Any], Any] = ({}, None)

    def arm(self, exposure: Mapping[str, Any], target: str, region: str | None = None) -> Arm:
        """The arm of a target; FIXED without a target to choose by. Raises DataError for an exposure that is none."""
        from openfeature.evaluation_context import EvaluationContext

        if not target:
            return Arm.FIXED
        context = EvaluationContext(target, {REGION: region or ""})
        value = self._core(exposure).resolve_string_value(FLAG, Arm.FIXED.value, context).value
        return Arm.ADAPTIVE if value == Arm.ADAPTIVE.value else Arm.FIXED

    def _core(self, exposure: Mapping[str, Any]) -> Any:
        from openfeature.contrib.tools.flagd.core import FlagdCore

        kept, core = self._kept
        if core is None or kept != exposure:
            core = FlagdCore()
            core.set_flags(to_text(exposure_of(exposure)))
            self._kept = exposure, core
        return core


def exposure_of(plain: Mapping[str, Any]) -> Exposure:
    """The exposure that a word holds. Raises DataError when it is none."""
    try:
        return Exposure(plain["weight"], plain["salt"], tuple(plain["regions"]))
    except (KeyError, TypeError) as error:
        raise DataError(f"the word's exposure is {dict(plain)!r}; allowed: weight, salt and regions") from error
