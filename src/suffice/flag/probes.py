"""The receipt: proof, through the path that production uses, that the baseline is what the flag answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from suffice.flag.answer import Flag
from suffice.verifier.arm import Arm

PAUSE_SECONDS = 0.05
SETTLE_SECONDS = 0.5
"""Five polls of a client: when one has answered fixed for as long, the others have looked at the file too."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing to ask for: a target, in a region."""

    target: str
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the last attempt saw: the flag itself answered fixed to `fixed` of `asked` probes.

    `seconds` is the time from before the first question to after the last answer. Only `observed` says that the
    rollback is done.
    """

    observed: bool
    asked: int
    fixed: int
    attempts: int
    seconds: float

    @property
    def sentence(self) -> str:
        return f"{self.fixed} of {self.asked} probes answer fixed"


def observe(
    flag: Flag,
    probes: Sequence[Probe],
    *,
    attempts: int,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
    pause_seconds: float = PAUSE_SECONDS,
    settle_seconds: float = SETTLE_SECONDS,
    missing_is_fixed: bool = False,
    patience: Callable[[], bool] = lambda: True,
) -> Receipt:
    """Ask for every probe, at most `attempts` times, until all have answered fixed for `settle_seconds` on end.

    An answer counts only when the flag gave it. FIXED for want of an answer proves nothing; nor do no probes at all.
    With `missing_is_fixed` it counts too: the flag was removed, and that is what every client answers then.
    `clock` is monotonic, in seconds. Without `patience` it gives up.
    """
    start = clock()
    receipt = Receipt(observed=False, asked=len(probes), fixed=0, attempts=0, seconds=0.0)
    since: float | None = None
    for attempt in range(1, attempts + 1):
        fixed = sum(_is_baseline(flag, probe, missing_is_fixed=missing_is_fixed) for probe in probes)
        now = clock()
        if not 0 < fixed == len(probes):
            since = None
        elif since is None:
            since = now
        observed = since is not None and now - since >= settle_seconds
        receipt = Receipt(observed=observed, asked=len(probes), fixed=fixed, attempts=attempt, seconds=now - start)
        if observed or not patience():
            break
        if attempt < attempts:
            sleep(pause_seconds)
    return receipt


def _is_baseline(flag: Flag, probe: Probe, *, missing_is_fixed: bool) -> bool:
    answer = flag.ask(probe.target, probe.region)
    return (answer.resolved or missing_is_fixed) and answer.arm is Arm.FIXED
