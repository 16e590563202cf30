"""The batch kernels decide exactly as the ask/tell run does."""

import json
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from math import inf
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import suffice
from lazily import Lazily
from suffice.decision.mean import Mean
from suffice.decision.monte_carlo_p import MonteCarloP
from suffice.decision.steps import t_statistic
from suffice.errors import DataError, PlanError
from suffice.sampling.distributions import Empirical, Normal, SplitNormal
from suffice.sampling.sampler import Pair
from suffice.stopping.plan import Plan
from suffice.stopping.request import Margin
from suffice.verifier import kernel_cache, kernels
from suffice.verifier.batch import DECISIONS, BatchResult, decide_batch, supports
from suffice.verifier.case import Case
from suffice.verifier.columns import fits
from suffice.verifier.loop import decide, decide_fixed, observations

PLANS = Lazily(
    {
        "every look": lambda: suffice.plan(suffice.Proportion(0.8), 100, 0.01),
        "few looks": lambda: suffice.plan(suffice.Proportion(0.5), 64, 0.05, looks=[7, 8, 30]),
        "split budget": lambda: suffice.plan(suffice.Proportion(0.8), 40, {"accept": 0.001, "reject": 0.02}),
        "all accepted": lambda: suffice.plan(suffice.Proportion(0.0), 20, method="fixed"),
        "curtailed exactly": lambda: suffice.plan(suffice.Proportion(0.9), 30, method="curtailed-exact"),
        "t": lambda: suffice.plan(suffice.PairedMean(), 64, 0.02, looks=[2, 8, 9, 24, 40]),
        "t with an effect": lambda: suffice.plan(
            suffice.PairedMean(min_effect=0.4), 48, method="margin", margin=Margin(n0=3, early_stop_margin=0.04)
        ),
        "one-sided t": lambda: suffice.plan(Mean(at_most=0.25), 64, 0.02, looks=[8, 24, 40]),
        "one draw": lambda: suffice.plan(suffice.Proportion(0.5), 1),
    }
)
DISTRIBUTIONS = [
    Normal(0.0, 1.0),
    Normal(0.3, 1.0),
    Normal(1.0, 0.0),
    Normal(1e300, 1e298),
    SplitNormal(0.2, 0.5, 2.0),
    SplitNormal(-0.1, 1.0, 0.0),
]
HUGE = [Normal(1.7e308, 1e307), SplitNormal(-1.7e308, 1e307, 2e307), Normal(0.0, 1e308), Normal(0.0, 1e154)]


def cases_of(distributions: list, count: int = 3) -> list[Case]:
    """Each pair of the distributions, in each direction, a few times."""
    pairs = [(before, after) for before in distributions for after in distributions]
    return [
        Case(f"{i}/{j}/{direction}", "t", Pair(*pair), direction=direction)
        for i, pair in enumerate(pairs)
        for direction in (-1, 0, 1)
        for j in range(count)
    ]


def rows(result: BatchResult) -> list[tuple]:
    columns = (result.decisions, result.n, result.estimates)
    return [
        (DECISIONS[code], n, repr(estimate)) for code, n, estimate in zip(*map(np.ndarray.tolist, columns), strict=True)
    ]


def row(verdict: suffice.Verdict) -> tuple:
    return verdict.decision, verdict.n, repr(verdict.estimate)


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("distributions", [DISTRIBUTIONS, [DISTRIBUTIONS[0], *HUGE]], ids=["usual", "huge"])
def test_every_case_has_the_verdict_of_its_run(name: str, distributions: list) -> None:
    cases, plan = cases_of(distributions), PLANS[name]
    result = decide_batch(cases, plan, 42, with_baseline=True)
    assert result.baseline is not None
    runs = [decide(case, plan, 42) for case in cases]
    fixed = [decide_fixed(observations(case, plan.rule, plan.n, 42), plan.rule) for case in cases]
    assert rows(result) == [row(verdict) for verdict in runs]
    assert rows(result.baseline) == [row(verdict) for verdict in fixed]


def test_the_cases_of_this_test_end_in_every_way() -> None:
    for plan in (PLANS["every look"], PLANS["t"]):
        result = decide_batch(cases_of([*DISTRIBUTIONS, *HUGE]), plan, 42)
        assert set(result.decisions) == {0, 1, 2}
        assert {*result.n[result.decisions == 2]} - {1}
        assert plan.n in result.n
        assert min(result.n[result.decisions != 2]) < plan.n


def test_another_seed_gives_other_verdicts() -> None:
    cases = cases_of(DISTRIBUTIONS[:2], count=20)
    plan = PLANS["every look"]
    assert rows(decide_batch(cases, plan, 1)) != rows(decide_batch(cases, plan, 2))


@pytest.mark.parametrize("name", ["every look", "t"], ids=["counts", "means"])
def test_the_result_does_not_depend_on_threads(name: str) -> None:
    cases, plan = cases_of(DISTRIBUTIONS, count=20), PLANS[name]
    one = rows(decide_batch(cases, plan, 42, threads=1))
    assert one == rows(decide_batch(cases, plan, 42, threads=2)) == rows(decide_batch(cases, plan, 42, threads=7))


def test_no_cases_are_decided_at_once() -> None:
    assert rows(decide_batch([], PLANS["t"], 42)) == []


@pytest.mark.parametrize("sampler", [Normal(0, 1), Pair(Normal(0, 1), Empirical((1.0,))), lambda rng, n: rng.random(n)])
def test_other_samplers_are_refused_by_name(sampler) -> None:
    case = Case("pump-17", "t", sampler)
    assert not fits(case)
    with pytest.raises(DataError, match=r"^case pump-17: the batch kernels draw pairs of normal"):
        decide_batch([case], PLANS["t"], 42)


@pytest.mark.parametrize(
    "plan",
    [suffice.plan(suffice.PairedMean(), 40, 0.05, looks=[20], guarded=True), suffice.plan(MonteCarloP(), 40)],
    ids=["guarded", "another rule"],
)
def test_other_plans_are_refused(plan: Plan) -> None:
    assert not supports(plan)
    with pytest.raises(PlanError, match=r"^there is no batch kernel for a (guarded )?plan of rule "):
        decide_batch([], plan, 42)


SMALL = """
import json, sys
sys.path[:0] = {tests!r}
from test_batch import PLANS, small_rows
print(json.dumps(small_rows()))
"""


def small_rows() -> list:
    """Few draws, for the interpreted kernels: every distribution and rule, in the tail and the wedges too."""
    cases = cases_of([DISTRIBUTIONS[1], DISTRIBUTIONS[4], HUGE[0]], count=1)
    names = ("few looks", "t", "one-sided t")
    results = [rows(decide_batch(cases, PLANS[name], 42, threads=2)) for name in names]
    return [[decision.value, n, estimate] for part in results for decision, n, estimate in part]


def ran(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_the_compiler_the_same_functions_decide_the_same() -> None:
    interpreted = ran(SMALL.format(tests=list(map(str, Path(__file__).parents[:2]))), NUMBA_DISABLE_JIT="1")
    assert json.loads(interpreted) == small_rows()


def test_a_spawned_process_decides_the_same() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(small_rows).result() == small_rows()


USES = "from suffice.verifier.compiled import compiled\n@compiled\ndef twice(x):\n    return 2 * x\nprint(twice(21))"


def test_a_folder_that_cannot_be_written_costs_only_the_compilation(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert ran(USES, SUFFICE_CACHE_DIR=str(tmp_path / "file" / "below")) == "42\n"


def test_compiled_code_is_kept_below_the_named_folder_and_a_setting_of_the_host_is_left_alone(tmp_path: Path) -> None:
    code = "import numba, suffice.verifier.kernels; print(numba.config.CACHE_DIR)"
    assert ran(code, SUFFICE_CACHE_DIR=str(tmp_path), NUMBA_CACHE_DIR="/elsewhere") == "/elsewhere\n"
    assert len(list((tmp_path / "kernels").iterdir())) == 1


def test_a_change_in_any_source_is_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = []
    for i, source in enumerate(kernel_cache.SOURCES):
        copies.append(tmp_path / f"{i}.py")
        copies[-1].write_bytes(source.read_bytes())
    monkeypatch.setattr(kernel_cache, "SOURCES", tuple(copies))
    seen = {kernel_cache.cache_folder()}
    for copy in copies:
        copy.write_bytes(copy.read_bytes() + b"\n")
        seen.add(kernel_cache.cache_folder())
    assert len(seen) == 1 + len(copies)


def test_nothing_is_compiled_for_plans_and_ask_tell() -> None:
    ran("""
import sys, suffice
from suffice.cli.main import main
from suffice.verifier.loop import decide
pair = suffice.Pair(suffice.Normal(0, 1), suffice.Normal(1, 1))
decide(suffice.Case("a", "t", pair), suffice.plan(suffice.Proportion(0.8), 20), 1)
for command in (["--help"], ["plan", "--rule", "proportion", "--at-least", "0.8", "--n", "20", "--json"]):
    sys.argv = ["suffice", *command]
    try:
        main()
    except SystemExit as end:
        assert end.code in (0, None), end.code
assert "numba" not in sys.modules
""")


@given(
    n=st.integers(2, 10_000),
    above=st.floats(0, allow_infinity=False),
    spread=st.floats(0, allow_infinity=False),
    off=st.sampled_from([0.0, 1e-16, 4e-16, 1e-13, 1e-11, 0.1]),
    side=st.sampled_from([-1, 1]),
)
@example(n=257, above=1.5e-162, spread=5e-324, off=0.1, side=-1)
@example(n=8, above=1.0, spread=1.0, off=0.1, side=1)
def test_where_the_square_leaves_a_look_open_t_is_between_the_boundaries(
    n: int, above: float, spread: float, off: float, side: int
) -> None:
    surely_open = getattr(kernels._surely_open, "py_func", kernels._surely_open)
    t = t_statistic(n, above, spread, 0.0, 0)
    near = t * (1 + side * off)
    for reject_at, accept_at in ((-inf, near), (near, inf), (near, 2 * near)):
        if surely_open(n, above, spread, reject_at, accept_at):
            assert reject_at < t < accept_at
    if 1e-100 < above < 1e100 and 1e-200 < spread < 1e200 and 0.01 < t < 1e6:
        assert surely_open(n, above, spread, t * (1 - 1e-11), t * (1 + 1e-11))
