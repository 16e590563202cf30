"""What the plots show is what was counted and what the plan's table says."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from suffice.comparison.compare import CELL, Comparison, compare
from suffice.decision.mean import Mean
from suffice.decision.paired_mean import PairedMean
from suffice.decision.proportion import Proportion
from suffice.decision.rule import Decision, Rule
from suffice.errors import OutputError
from suffice.reports.comparison_plots import (
    PATHS,
    chosen_examples,
    disagreement_figure,
    draws_figure,
    path_of,
    paths_figure,
)
from suffice.reports.plots import ACCEPT, REJECT, plan_figure, save_figure
from suffice.sources.even import even_cases
from suffice.stopping.make import plan
from suffice.stopping.plan import Plan
from suffice.verifier.loop import observations
from suffice.verifier.many import results

N, SEED = 100, 7
SETTINGS = sorted(set(matplotlib.rcParams) - {"backend", "backend_fallback"})


def _plans(rule: Rule) -> list[Plan]:
    methods = ("optimal", "curtailed-exact", "margin") if isinstance(rule, Proportion) else ("margin", "fixed")
    return [plan(rule, N, 0.01, method=method) for method in methods]


@pytest.fixture(scope="module")
def counts() -> Comparison:
    rule = Proportion(0.7)
    return compare(even_cases(rule, N, 300), rule, N, _plans(rule), SEED)


@pytest.fixture(scope="module")
def means() -> Comparison:
    rule = PairedMean()
    return compare(even_cases(rule, N, 300), rule, N, _plans(rule), SEED)


def _lines(axes: Axes, gid: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_gid() == gid]


def _labelled(axes: Axes, label: str) -> Line2D:
    return next(line for line in axes.lines if line.get_label() == label)


def _xy(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]


@pytest.mark.parametrize("kind", ["counts", "means"])
def test_one_path_for_each_example_solid_to_the_stop_and_faint_to_the_end(
    kind: str, request: pytest.FixtureRequest
) -> None:
    comparison: Comparison = request.getfixturevalue(kind)
    (axes,) = paths_figure(comparison).axes
    examples = chosen_examples(comparison.whole.examples)
    paths, rests, stops = (_lines(axes, gid) for gid in ("path", "rest", "stop"))
    assert len(examples) == len(paths) == len(rests) == len(stops) == PATHS
    for result, path, rest, stop in zip(examples, paths, rests, stops, strict=True):
        verdict = result.verdicts[0]
        assert path.get_xdata()[-1] == rest.get_xdata()[0] == stop.get_xdata()[0] == verdict.n
        assert rest.get_xdata()[-1] == N
        assert to_hex(path.get_color()) == (ACCEPT if verdict.decision is Decision.ACCEPTED else REJECT)
        assert (rest.get_alpha() or 1) < (path.get_alpha() or 1)


def test_a_count_path_is_the_running_sum_of_the_cases_own_draws(counts: Comparison) -> None:
    pace = counts.rule.threshold(N) / N
    for result in chosen_examples(counts.whole.examples):
        running = np.cumsum(observations(result.case, counts.rule, N, SEED))
        for n, height in path_of(counts, result):
            assert height == pytest.approx(running[n - 1] - pace * n, abs=1e-9)


def test_an_early_stop_lies_in_the_region_of_its_decision(counts: Comparison) -> None:
    (axes,) = paths_figure(counts).axes
    accept, reject = (dict(_xy(_labelled(axes, f"stop and {word}"))) for word in ("accept", "reject"))
    early = [result for result in chosen_examples(counts.whole.examples) if result.verdicts[0].early]
    assert early
    for result in early:
        height = dict(path_of(counts, result))[result.verdicts[0].n]
        if result.verdicts[0].decision is Decision.ACCEPTED:
            assert height >= accept[result.verdicts[0].n] - 1e-9
        else:
            assert height <= reject[result.verdicts[0].n] + 1e-9


def test_examples_are_spread_over_the_effects_and_fewer_when_there_are_fewer(counts: Comparison) -> None:
    effects = [result.effect for result in chosen_examples(counts.whole.examples)]
    assert effects == sorted(effects)
    assert effects[0] < -4
    assert effects[-1] > 2
    few = dict(sorted(counts.whole.examples.items())[:3])
    assert chosen_examples(few) == list(few.values())
    assert chosen_examples({}) == []


def test_average_draws_and_rates_are_those_of_a_count_made_anew(counts: Comparison) -> None:
    plans = [method.plan for method in counts.methods]
    again = list(results(even_cases(counts.rule, N, 300), counts.rule, N, plans, SEED))
    cells = np.floor([result.effect / CELL for result in again])
    draws, rates = draws_figure(counts).axes[0], disagreement_figure(counts).axes[0]
    for i, used in enumerate(plans):
        taken = np.array([result.verdicts[i].n for result in again])
        differs = np.array([result.verdicts[i].decision is not result.baseline.decision for result in again])
        expected = [taken[cells == cell].mean() for cell in np.unique(cells)]
        assert _labelled(draws, used.method).get_ydata() == pytest.approx(expected)
        assert _labelled(draws, used.method).get_xdata() == pytest.approx((np.unique(cells) + 0.5) * CELL)
        shares = [100 * differs[cells == cell].mean() for cell in np.unique(cells)]
        assert _labelled(rates, used.method).get_ydata() == pytest.approx(shares)
    assert set(_labelled(draws, f"fixed: N = {N}").get_ydata()) == {N}
    assert set(_labelled(rates, "ε = 1 %").get_ydata()) == {1.0}


def test_no_rate_and_no_interval_is_cut_off(counts: Comparison) -> None:
    axes = disagreement_figure(counts).axes[0]
    low, high = axes.get_ylim()
    heights = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines[:-1]])
    assert low < heights.min()
    assert heights.max() < high


def test_without_cases_the_figures_say_so() -> None:
    rule = Proportion(0.7)
    empty = compare([], rule, N, _plans(rule), SEED)
    for figure in (draws_figure(empty), disagreement_figure(empty)):
        assert "no case with a valid baseline" in [text.get_text() for axes in figure.axes for text in axes.texts]
    assert _lines(paths_figure(empty).axes[0], "path") == []


def test_a_bound_split_by_direction_draws_the_larger_part_and_names_it() -> None:
    rule = Proportion(0.7)
    split = compare([], rule, N, [plan(rule, N, {"accept": 0.001, "reject": 0.02})], SEED)
    assert set(_labelled(disagreement_figure(split).axes[0], "ε = 2 % (reject)").get_ydata()) == {2.0}


@pytest.mark.parametrize("method", ["optimal", "curtailed-exact", "margin", "fixed"])
def test_a_plans_figure_shows_its_table_and_its_worst_case(method: str) -> None:
    designed = plan(Proportion(0.7), N, 0.01, method=method)
    boundaries, asn, disagreement = plan_figure(designed).axes
    slope = 70 / 100
    for side, word in (("accept_at", "accept"), ("reject_at", "reject")):
        drawn = [(n, at + slope * n) for n, at in _xy(_labelled(boundaries, f"stop and {word}"))]
        table = [(b.n, getattr(b, side)) for b in designed.boundaries if getattr(b, side) is not None]
        assert np.array(drawn) == pytest.approx(np.array([*table, (N, 70 if word == "accept" else 69)]))
    assert max(_labelled(asn, "adaptive").get_ydata()) <= N
    given = _labelled(disagreement, "given the total").get_ydata()
    assert max(given) == pytest.approx(100 * designed.worst_disagreement)
    assert max(_labelled(disagreement, "given the truth").get_ydata()) <= max(given) + 1e-9
    worst = next(line for line in disagreement.lines if str(line.get_label()).startswith("worst"))
    assert _xy(worst) == [(designed.worst_at / N, 100 * designed.worst_disagreement)]


def test_a_mean_plans_curves_run_over_the_effect_and_peak_at_the_worst_case() -> None:
    designed = plan(PairedMean(), N, 0.01, method="margin")
    boundaries, asn, disagreement = plan_figure(designed).axes
    assert boundaries.get_ylabel() == "|t|"
    assert (asn.lines[0].get_xdata()[0], asn.lines[0].get_xdata()[-1]) == (0, 8)
    curve = dict(_xy(_labelled(disagreement, "given the truth")))
    assert max(curve.values()) <= 100 * designed.worst_disagreement
    assert max(curve, key=curve.__getitem__) == pytest.approx(designed.worst_at, abs=0.05)


def test_a_one_sided_plans_boundaries_are_of_t_and_its_negative_side_is_shown() -> None:
    designed = plan(Mean(at_least=0.0), N, 0.01, method="margin")
    boundaries = plan_figure(designed).axes[0]
    assert boundaries.get_ylabel() == "t"
    lowest = min(b.reject_at for b in designed.boundaries if b.reject_at is not None)
    assert boundaries.get_ylim()[0] < lowest


@pytest.mark.parametrize(("suffix", "starts"), [(".svg", b"<?xml"), (".PNG", b"\x89PNG")])
def test_the_suffix_chooses_the_format_and_equal_plans_give_equal_bytes(
    suffix: str, starts: bytes, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in ("one", "two")]
    for path in paths:
        save_figure(plan_figure(plan(Proportion(0.7), N, 0.01)), path)
    first, second = (path.read_bytes() for path in paths)
    assert first.startswith(starts)
    assert first == second


@pytest.mark.parametrize("name", ["plan.pdf", "plan", "plan.svgz"])
def test_any_other_suffix_is_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"allowed: \.svg, \.png"):
        save_figure(Figure(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "plan.svg").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        save_figure(Figure(), tmp_path / "plan.svg")


def test_the_users_settings_neither_change_the_picture_nor_are_changed(tmp_path: Path) -> None:
    designed = plan(Proportion(0.7), N, 0.01)
    save_figure(plan_figure(designed), tmp_path / "plain.svg")
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "svg.fonttype": "path"}):
        before = {key: matplotlib.rcParams[key] for key in SETTINGS}
        save_figure(plan_figure(designed), tmp_path / "other.svg")
        assert {key: matplotlib.rcParams[key] for key in SETTINGS} == before
    assert (tmp_path / "plain.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()
