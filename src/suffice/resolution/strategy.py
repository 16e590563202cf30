"""What to do about a mismatch: each strategy proposes a record in place of the old one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from math import fsum, sqrt

from suffice.resolution.classify import Kind
from suffice.sources.correction import Correction
from suffice.sources.times import newest
from suffice.store.records import Record

Inputs = Mapping[str, Record]


class Strategy(Enum):
    """The strategies; the value is the sentence a person reads."""

    RECOMPUTE = "Derive the value again, from its inputs as they are now."
    RELINK = "Take the measurement's value and link the record to its context."
    UPDATE = "Write the same observation as the measurement has it."
    RE_MEASURE = "Take the measurement in place of the old one."


STRATEGIES: dict[Kind, Strategy] = {
    Kind.MIS_INFERENCE: Strategy.RECOMPUTE,
    Kind.MIS_ASSOCIATION: Strategy.RELINK,
    Kind.MIS_DESCRIPTION: Strategy.UPDATE,
    Kind.MIS_MEASUREMENT: Strategy.RE_MEASURE,
}


def propose(kind: Kind, record: Record, correction: Correction, inputs: Inputs) -> Record:
    """The record that the kind's strategy proposes, one version later. A derived record comes from its `inputs`."""
    proposed = _PROPOSE[STRATEGIES[kind]](record, correction, inputs)
    return replace(proposed, version=record.version + 1)


def re_measure(record: Record, correction: Correction, _: Inputs) -> Record:
    """Value, uncertainties and time of the measurement; the context stays."""
    measured = correction.measurement
    return replace(record, value=measured.value, u_plus=measured.u_plus, u_minus=measured.u_minus, time=correction.time)


def relink(record: Record, correction: Correction, _: Inputs) -> Record:
    """Value, uncertainties and time of the measurement, and its context."""
    return replace(re_measure(record, correction, {}), context=correction.measurement_context)


def recompute(record: Record, _: Correction, inputs: Inputs) -> Record:
    """The weighted sum of the inputs. Uncertainties add in squares; a negative weight exchanges upper and lower.

    Assumes inputs with independent errors. Source: JCGM 100:2008 (GUM), equation 10, for a linear model.
    """
    terms = [(weight, inputs[target]) for target, weight in record.derived_from]
    upper = [weight * (part.u_plus if weight > 0 else part.u_minus) for weight, part in terms]
    lower = [weight * (part.u_minus if weight > 0 else part.u_plus) for weight, part in terms]
    return replace(
        record,
        value=fsum(weight * part.value for weight, part in terms),
        u_plus=_root_sum_square(upper),
        u_minus=_root_sum_square(lower),
        time=newest(part.time for _, part in terms),
    )


def _root_sum_square(parts: list[float]) -> float:
    return sqrt(fsum(part * part for part in parts))


_PROPOSE: dict[Strategy, Callable[[Record, Correction, Inputs], Record]] = {
    Strategy.RE_MEASURE: re_measure,
    Strategy.UPDATE: re_measure,
    Strategy.RELINK: relink,
    Strategy.RECOMPUTE: recompute,
}
