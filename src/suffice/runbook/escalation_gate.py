"""The escalation gate of the runbook: are there more rollback-storm escalations than allowed?"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from suffice.answer import Answer
from suffice.config import CiGateConfig
from suffice.errors import ConfigError, DataError, ExitCode, MissingDataError
from suffice.telemetry.counters import Counter
from suffice.telemetry.metrics_file import Metrics, read
from suffice.terminal import print_lines

ENABLED = "SUFFICE_ESCALATION_GATE_ENABLED"
MAX_ESCALATIONS = "SUFFICE_ESCALATION_GATE_MAX_ESCALATIONS"

_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was counted, what is allowed, and whether it holds."""

    value: int
    limit: int

    @property
    def holds(self) -> bool:
        return self.value <= self.limit


def judge_escalations(path: Path, section: CiGateConfig) -> Answer:
    """Whether the metrics file has no more escalations than the section allows; it holds where the gate is off.

    Raises MissingDataError when the metrics cannot be read or do not tell.
    """
    plain = {
        "gate": "rollback_storm_escalations",
        "metrics_file": path.as_posix(),
        "source": None,
        "enabled": section.enabled,
        "value": None,
        "limit": section.max_escalations,
        "holds": None,
    }
    if not section.enabled:
        return Answer(plain, lambda: print_lines("rollback-storm escalations: the gate is off"))
    metrics = _metrics(path)
    judged = judge(metrics, section.max_escalations)
    word = "holds" if judged.holds else "ABOVE THE LIMIT"
    line = f"rollback-storm escalations of {metrics.source}: {judged.value}, allowed: {judged.limit}: {word}"
    plain |= {"source": metrics.source, "value": judged.value, "holds": judged.holds}
    return Answer(plain, lambda: print_lines(line), ExitCode.HOLDS if judged.holds else ExitCode.FAILS)


def configured(section: CiGateConfig, environment: Mapping[str, str], max_escalations: int | None) -> CiGateConfig:
    """Whether the gate is on and what it allows: the option before the environment before the configuration.

    An empty variable is as good as none. Raises ConfigError for one that cannot be read, or a limit below 0.
    """
    enabled, limit = environment.get(ENABLED, "").strip(), environment.get(MAX_ESCALATIONS, "").strip()
    if max_escalations is not None and max_escalations < 0:
        raise ConfigError(f"--max-escalations is {max_escalations}; allowed: a whole number, 0 or more")
    if enabled and enabled.casefold() not in _WORDS:
        raise ConfigError(f"{ENABLED} is {enabled!r}; allowed: {', '.join(_WORDS)}")
    if limit and not (limit.isascii() and limit.isdecimal() and len(limit) <= 9):
        raise ConfigError(f"{MAX_ESCALATIONS} is {limit!r}; allowed: a whole number, 0 or more")
    from_environment = int(limit) if limit else section.max_escalations
    return CiGateConfig(
        enabled=_WORDS[enabled.casefold()] if enabled else section.enabled,
        max_escalations=from_environment if max_escalations is None else max_escalations,
    )


def judge(metrics: Metrics, limit: int) -> Judgement:
    """Raises MissingDataError when the metrics do not tell: none of them is zero before decisions were made."""
    return Judgement(metrics.value(Counter.ESCALATIONS), limit)


def _metrics(path: Path) -> Metrics:
    """A file that cannot be read tells nothing, like one that is not there."""
    try:
        return read(path)
    except DataError as error:
        raise MissingDataError(str(error)) from error
