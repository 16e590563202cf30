"""A comparison done in chunks of cases: in one process or many, with the same result."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby
from time import perf_counter
from typing import Any

from suffice.comparison.compare import CaseResult, results
from suffice.comparison.sliced import SlicedComparison, without_draws
from suffice.comparison.transport import Packed, packed, unpacked
from suffice.comparison.workers import Failed, Pool, in_order
from suffice.decision.rule import Rule
from suffice.sampling.recorded import Recorded
from suffice.sources.recorded import Unusable
from suffice.stopping.plan import Plan
from suffice.verifier.case import Case

FIRST_CASES = 500
SECONDS = 0.25
"""What a chunk should take: much longer than handing it over, far shorter than anybody waits."""

MOST_CASES = 20_000
GENERATED_CASES = 4000
"""Cases of a chunk that are not recorded: as many as the batch kernels take at once."""

MOST_DRAWS = 500_000
"""Limits of a chunk: 4 MB of draws (8 MB of pairs), whatever it takes."""

FAILED_KEPT = 20

Plans = Callable[[int], Sequence[Plan]]
"""The plans of all methods for an N."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Cases that follow each other, with the plans for each N among them. `n` is that of cases that are not recorded.

    `rows` asks for each case's result, `examples` for cases to draw in a report.
    """

    cases: tuple[Case | Unusable, ...]
    plans: Mapping[int, Sequence[Plan]]
    rule: Rule
    seed: int
    n: int
    rows: bool = False
    examples: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _chunk, (
            packed(self.cases), self.plans, self.rule, self.seed, self.n, self.rows, self.examples,
        )  # fmt: skip


def _chunk(cases: Packed, *rest: Any) -> Chunk:
    return Chunk(unpacked(*cases), *rest)


@dataclass(frozen=True, slots=True)
class Decided:
    """What was found over a chunk, its lines of the checksum, its rows where asked for, and how long it took."""

    found: SlicedComparison
    lines: bytes
    rows: list[CaseResult]
    cases: int
    seconds: float


@dataclass(slots=True)
class Progress:
    """What a comparison has done so far: `cases` counts all, `failed` those whose chunk failed twice.

    The first keys of the failed ones are kept, and how their first chunk failed.
    """

    found: SlicedComparison
    checksum: str = ""
    cases: int = 0
    failed: int = 0
    failed_keys: list[str] = field(default_factory=list)
    failed_why: str = ""

    def fail(self, failure: "Failed[Chunk]") -> None:
        """Count in a chunk that failed."""
        keys = [case.key for case in failure.chunk.cases]
        self.cases += len(keys)
        self.failed += len(keys)
        self.failed_keys += keys[: FAILED_KEPT - len(self.failed_keys)]
        self.failed_why = self.failed_why or failure.why


def compare_in_chunks(
    cases: Iterable[Case | Unusable],
    rule: Rule,
    n: int,
    plans: Plans,
    seed: int,
    workers: Pool,
    *,
    rows: Callable[[list[CaseResult]], None] | None = None,
    examples: bool = False,
) -> Iterator[Progress]:
    """Decide each case by the baseline and by every plan for its N, and yield the same `Progress` after each chunk.

    N is the number of draws of a recorded case, and `n` of every other. `rows` is called with the results of each
    chunk, in the order of the cases and without recorded draws. The checksum is the SHA-256 over a line for each case
    (see `line`), in that order. Neither depends on the workers, nor on how the cases were cut into chunks.
    """
    progress, digest = Progress(SlicedComparison(rule, seed)), sha256()
    cut = _Cutter(rule, n, plans, seed, rows=rows is not None, examples=examples)
    for decided in in_order(decide_chunk, cut.chunks(cases), workers):
        if isinstance(decided, Failed):
            progress.fail(decided)
        else:
            cut.learn(decided)
            progress.found.merge(decided.found)
            digest.update(decided.lines)
            if rows is not None:
                rows(decided.rows)
            progress.cases += decided.cases
        progress.checksum = digest.hexdigest()
        yield progress


def decide_chunk(chunk: Chunk) -> Decided:
    """Decide the cases of a chunk: a function of the chunk alone, but for `seconds`."""
    start = perf_counter()
    found = SlicedComparison(chunk.rule, chunk.seed)
    lines: list[str] = []
    rows: list[CaseResult] = []
    for n, run in groupby(chunk.cases, key=lambda case: size_of(case, chunk.n)):
        if n is None:
            for case in run:
                if isinstance(case, Unusable):
                    found.left_out[case.reason.value] += 1
                    lines.append(f"{case.key!r}\t{case.reason.name}\n")
            continue
        found.expect(n, chunk.plans[n])
        usable = [case for case in run if isinstance(case, Case)]
        for result in results(usable, chunk.rule, n, chunk.plans[n], chunk.seed):
            found.add(result)
            lines.append(line(result))
            if chunk.rows:
                rows.append(without_draws(result))
    found.lighten(examples=chunk.examples)
    return Decided(found, "".join(lines).encode(), rows, len(chunk.cases), perf_counter() - start)


def line(result: CaseResult) -> str:
    """A case in the checksum: its key, then decision, n and estimate of the baseline and of each method."""
    verdicts = (result.baseline, *result.verdicts)
    return "\t".join((repr(result.case.key), *(f"{v.decision.value} {v.n} {v.estimate!r}" for v in verdicts))) + "\n"


def size_of(case: Case | Unusable, n: int) -> int | None:
    """N of a case; None where it is not to be decided."""
    if isinstance(case, Unusable):
        return None
    return len(case.sampler.values) if isinstance(case.sampler, Recorded) else n


class _Cutter:
    """Cuts recorded cases into chunks of about `SECONDS`, as the chunks before let expect, and others by number."""

    def __init__(self, rule: Rule, n: int, plans: Plans, seed: int, *, rows: bool, examples: bool) -> None:
        self._rule, self._n, self._seed = rule, n, seed
        self._rows, self._examples = rows, examples
        self._make = plans
        self._plans: dict[int, Sequence[Plan]] = {}
        self._cases = FIRST_CASES

    def learn(self, decided: Decided) -> None:
        if decided.cases and decided.seconds > 0:
            self._cases = max(1, min(MOST_CASES, int(decided.cases * SECONDS / decided.seconds)))

    def chunks(self, cases: Iterable[Case | Unusable]) -> Iterator[Chunk]:
        taken: list[Case | Unusable] = []
        draws = 0
        for case in cases:
            taken.append(case)
            draws += size_of(case, 0) or 0
            generated = isinstance(case, Case) and not isinstance(case.sampler, Recorded)
            if len(taken) >= (GENERATED_CASES if generated else self._cases) or draws >= MOST_DRAWS:
                yield self._chunk(taken)
                taken, draws = [], 0
        if taken:
            yield self._chunk(taken)

    def _chunk(self, cases: list[Case | Unusable]) -> Chunk:
        sizes = {size for case in cases if (size := size_of(case, self._n)) is not None}
        plans = {size: self._plans_for(size) for size in sorted(sizes)}
        return Chunk(tuple(cases), plans, self._rule, self._seed, self._n, self._rows, self._examples)

    def _plans_for(self, n: int) -> Sequence[Plan]:
        if n not in self._plans:
            self._plans[n] = tuple(self._make(n))
        return self._plans[n]
