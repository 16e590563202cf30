"""A comparison done in chunks of cases: in one process or many, with the same result."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from hashlib import sha256
from time import perf_counter
from typing import Any

from suffice.comparison.compare import Comparison
from suffice.comparison.transport import Packed, packed, unpacked
from suffice.comparison.workers import Failed, Pool, in_order
from suffice.decision.rule import Rule
from suffice.sampling.recorded import Recorded
from suffice.sources.recorded import Unusable
from suffice.stopping.plan import Plan
from suffice.verifier.case import Case
from suffice.verifier.many import CaseResult, Work, results

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
class Question:
    """What is asked of every chunk of a comparison.

    `n` is the N of cases that are not recorded. `rows` asks for each case's result, `examples` for cases to draw in a
    report.
    """

    rule: Rule
    n: int
    seed: int
    rows: bool = False
    examples: bool = False

    def size_of(self, case: Case | Unusable) -> int | None:
        """N of a case; None where it is not to be decided."""
        if isinstance(case, Unusable):
            return None
        return len(case.sampler.values) if isinstance(case.sampler, Recorded) else self.n


@dataclass(frozen=True, slots=True)
class Chunk:
    """Cases that follow each other, with the plans for each N among them.

    `decisions` is how many the whole comparison makes, as far as is known (see `verifier.many.Work`).
    """

    cases: tuple[Case | Unusable, ...]
    plans: Mapping[int, Sequence[Plan]]
    question: Question
    decisions: int = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return _chunk, (packed(self.cases), self.plans, self.question, self.decisions)


def _chunk(cases: Packed, *rest: Any) -> Chunk:
    return Chunk(unpacked(*cases), *rest)


@dataclass(frozen=True, slots=True)
class Decided:
    """What was counted over a chunk, its lines of the checksum, its rows where asked for, and how long it took."""

    comparison: Comparison
    lines: bytes
    rows: list[CaseResult]
    cases: int
    seconds: float


@dataclass(slots=True)
class Progress:
    """What a comparison has done so far: `cases` counts all, `failed` those whose chunk failed twice.

    The first keys of the failed ones are kept, and how their first chunk failed.
    """

    comparison: Comparison
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
    progress, digest = Progress(Comparison(rule, seed)), sha256()
    cutter = _Cutter(Question(rule, n, seed, rows is not None, examples), plans)
    for decided in in_order(decide_chunk, cutter.chunks(cases), workers):
        if isinstance(decided, Failed):
            progress.fail(decided)
        else:
            cutter.learn(decided)
            progress.comparison.merge(decided.comparison)
            digest.update(decided.lines)
            if rows is not None:
                rows(decided.rows)
            progress.cases += decided.cases
        progress.checksum = digest.hexdigest()
        yield progress


def decide_chunk(chunk: Chunk) -> Decided:
    """Decide the cases of a chunk: a function of the chunk alone, but for `seconds`."""
    start, question = perf_counter(), chunk.question
    comparison = Comparison(question.rule, question.seed)
    for n, plans in chunk.plans.items():
        comparison.expect(n, plans)
    lines: list[str] = []
    rows: list[CaseResult] = []
    for result in _decided(chunk):
        if isinstance(result, Unusable):
            comparison.left_out[result.reason.value] += 1
            lines.append(f"{result.key!r}\t{result.reason.name}\n")
        else:
            comparison.add(result)
            lines.append(line(result))
            if question.rows:
                rows.append(result.without_draws())
    if not question.examples:
        for counts in comparison.sizes.values():
            counts.examples.clear()
    return Decided(comparison, "".join(lines).encode(), rows, len(chunk.cases), perf_counter() - start)


def _decided(chunk: Chunk) -> Iterator[CaseResult | Unusable]:
    """The result of each case, in the order of the cases; those of equal N are decided together."""
    question, work = chunk.question, Work(chunk.decisions)
    sizes = [question.size_of(case) for case in chunk.cases]
    of_size: dict[int | None, list[Any]] = {size: [] for size in sizes}
    for size, case in zip(sizes, chunk.cases, strict=True):
        of_size[size].append(case)
    decided = {n: results(of_size[n], question.rule, n, plans, question.seed, work) for n, plans in chunk.plans.items()}
    unusable: Iterator[Unusable] = iter(of_size.get(None, ()))
    for size in sizes:
        yield next(unusable) if size is None else next(decided[size])


def line(result: CaseResult) -> str:
    """A case in the checksum: its key, then decision, n and estimate of the baseline and of each method."""
    verdicts = (result.baseline, *result.verdicts)
    return "\t".join((repr(result.case.key), *(f"{v.decision.value} {v.n} {v.estimate!r}" for v in verdicts))) + "\n"


class _Cutter:
    """Cuts recorded cases into chunks of about `SECONDS`, as the chunks before let expect, and others by number."""

    def __init__(self, question: Question, plans: Plans) -> None:
        self._question = question
        self._make = plans
        self._plans: dict[int, Sequence[Plan]] = {}
        self._cases = FIRST_CASES

    def learn(self, decided: Decided) -> None:
        if decided.cases and decided.seconds > 0:
            self._cases = max(1, min(MOST_CASES, int(decided.cases * SECONDS / decided.seconds)))

    def chunks(self, cases: Iterable[Case | Unusable]) -> Iterator[Chunk]:
        known, given = len(cases) if isinstance(cases, Sized) else 0, 0
        for taken in self._cut(cases):
            given += len(taken)
            sizes = dict.fromkeys(map(self._question.size_of, taken))
            plans = {size: self._plans_for(size) for size in sizes if size is not None}
            methods = max(map(len, plans.values()), default=0)
            yield Chunk(tuple(taken), plans, self._question, max(known, given) * (1 + methods))

    def _cut(self, cases: Iterable[Case | Unusable]) -> Iterator[list[Case | Unusable]]:
        taken: list[Case | Unusable] = []
        draws = 0
        for case in cases:
            taken.append(case)
            recorded = isinstance(case, Unusable) or isinstance(case.sampler, Recorded)
            draws += (self._question.size_of(case) or 0) if recorded else 0
            if len(taken) >= (self._cases if recorded else GENERATED_CASES) or draws >= MOST_DRAWS:
                yield taken
                taken, draws = [], 0
        if taken:
            yield taken

    def _plans_for(self, n: int) -> Sequence[Plan]:
        if n not in self._plans:
            self._plans[n] = tuple(self._make(n))
        return self._plans[n]
