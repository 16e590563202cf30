"""The report says how a rehearsal ended and why, with the summary's numbers, and is the same for the same input."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from html_page import Page
from suffice.cli.main import run as suffice
from suffice.config import Config, parse
from suffice.decision.paired_mean import PairedMean
from suffice.decision.proportion import Proportion
from suffice.errors import OutputError
from suffice.rehearsal import plots
from suffice.rehearsal.faults import Fault, Kind
from suffice.rehearsal.rehearse import Ending, Moment, rehearse
from suffice.rehearsal.report import commands, guarantee, headline, report_html, write_report
from suffice.rehearsal.setup import Setup
from suffice.rehearsal.summary import summary_of
from suffice.rollout.phases import Phase
from suffice.sources.correction import Correction, Estimate
from suffice.stopping.make import plan
from suffice.stopping.request import Margin

N = 64
SHADOW, EVERYWHERE = "shadow", "everywhere"
HOSTILE = "$\\frac$\N{SNOWMAN}\N{CJK UNIFIED IDEOGRAPH-4E2D}<script>alert('a')</script>&"
TARGET = '"><img src=x onerror=alert(1)>'


@dataclass(frozen=True)
class Rehearsed:
    setup: Setup
    ending: Ending
    summary: dict[str, Any]

    @cached_property
    def html(self) -> str:
        return report_html(self.setup, self.ending, self.summary)

    @cached_property
    def page(self) -> Page:
        return Page(self.html)


def _config(first: str, last: str, rate: float) -> Config:
    stages = [
        {"name": first, "weight": 0, "shadow": True, "hold": "12h", "audit_fraction": 1.0, "min_audits": 20},
        {"name": last, "weight": 100, "audit_fraction": 0.02},
    ]
    acceptance = {"min_sample_reduction": 0.05, "max_disagreement_rate": rate, "confidence": 0.9}
    section = {"acceptance": acceptance, "cycle": "6h", "stages": stages}
    sampling = {"n0": 8, "early_stop_margin": 0.001, "look_every": 1}
    verifier = {"rule": "proportion", "n_samples": N, "adaptive_sampling": sampling}
    return parse(json.dumps({"rollout": section, "verifier": verifier}), "config")


def _rehearse(
    directory: Path,
    fault: Kind | None = None,
    stages: tuple[str, str] = (SHADOW, EVERYWHERE),
    source: str = "made",
    seen: Callable[[Moment], None] = lambda _: None,
) -> Rehearsed:
    """A real rehearsal of 100 corrections, of which most are clear and some are at the boundary."""
    report = [
        Correction(f"{TARGET} {i}", f"{TARGET} {i // 2}", Estimate(10, 1, 1), Estimate(10 + i % 7, 1, 1.5))
        for i in range(100)
    ]
    # So strict that the first cycle of a heuristic fails it, or so lax that a few audits prove it.
    rate = 0.001 if fault is Kind.MARGIN else 0.2
    faulty = Fault(stages[0], fault) if fault else None
    setup = Setup(
        _config(*stages, rate), plan(Proportion(0.8), N, 0.01), report, source, directory, faulty, 5, checks=False
    )
    ending = rehearse(setup, seen=seen)
    return Rehearsed(setup, ending, summary_of(setup, ending))


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    return _rehearse(tmp_path_factory.mktemp("completed"))


@pytest.fixture(scope="module")
def rolled_back(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    return _rehearse(tmp_path_factory.mktemp("rolled back"), Kind.MARGIN)


@pytest.fixture(scope="module")
def paused(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    """No metrics from the first cycle on, and every name hostile."""
    return _rehearse(tmp_path_factory.mktemp("paused"), Kind.NO_METRICS, (HOSTILE, "last"), f"</title>{HOSTILE}")


def _plain(text: str) -> str:
    return " ".join(text.replace("\N{NO-BREAK SPACE}", " ").split())


def test_a_completed_rehearsal_says_what_was_promoted_and_what_it_saves(completed: Rehearsed) -> None:
    assert completed.summary["status"] == "completed"
    last = completed.summary["stages"][-1]
    saved, net = (f"{100 * last[name]:.1f} %" for name in ("sample_reduction", "net_sample_reduction"))
    assert (
        f"Completed: the optimal plan is promoted to 100 % of the targets and saves {saved} of the draws, {net} net of "
        "audits." in completed.page.text
    )


def test_a_rollback_names_the_gate_its_sentence_and_the_probes(rolled_back: Rehearsed) -> None:
    summary, receipt = rolled_back.summary, rolled_back.ending.receipt
    assert summary["status"] == "rolled_back"
    assert receipt is not None
    assert len(rolled_back.ending.history) == 1
    text = rolled_back.page.text
    assert (
        f"Rolled back in shadow: the {summary['failed_gate']} gate failed, and the baseline was observed by "
        f"{receipt.asked} probes." in text
    )
    assert f"The {summary['failed_gate']} gate: {summary['failed_gates'][0]['sentence']}." in text
    assert "shadow:margin" in text
    assert f"on purpose: {Kind.MARGIN.value}" in text
    assert f"{summary['adaptive_after_receipt']} adaptive decisions after the receipt" in text


def test_a_rollback_that_a_person_asked_for_names_no_gate(rolled_back: Rehearsed) -> None:
    state = replace(rolled_back.ending.state, failed=(), why="we need the machine")
    ending = replace(rolled_back.ending, state=state, receipt=None)
    expected = "Rolled back in shadow: we need the machine, and the receipt is in the bundle"
    assert headline(ending, rolled_back.summary) == expected
    assert "there is no receipt" in headline(replace(ending, bundle=None), rolled_back.summary)


def test_a_receipt_that_was_not_observed_is_not_said_to_be(rolled_back: Rehearsed) -> None:
    receipt = replace(rolled_back.ending.receipt, fixed=3, asked=40)
    line = headline(replace(rolled_back.ending, receipt=receipt), rolled_back.summary)
    assert "not observed: 3 of 40 probes answered fixed" in line


def test_a_pause_says_where_and_why(paused: Rehearsed) -> None:
    assert paused.summary["status"] == "paused"
    assert f"Paused in {_plain(HOSTILE)} at a weight of 0 %: a person has to look." in paused.page.text
    assert f"{paused.summary['why']}." in paused.page.text
    assert "no-metrics" in paused.page.text


def test_an_interrupted_rehearsal_is_reported_with_what_is_known(tmp_path: Path) -> None:
    def stop(_: Moment) -> None:
        raise KeyboardInterrupt

    interrupted = _rehearse(tmp_path, seen=stop)
    assert len(interrupted.ending.history) == 1
    assert "Interrupted in shadow while progressing: what follows is what was known then." in interrupted.page.text


@pytest.mark.parametrize("which", ["completed", "rolled_back", "paused"])
def test_a_history_without_cycles_makes_a_page_too(which: str, request: pytest.FixtureRequest) -> None:
    rehearsed: Rehearsed = request.getfixturevalue(which)
    page = Page(report_html(rehearsed.setup, replace(rehearsed.ending, history=[]), rehearsed.summary))
    assert page.text.count("no cycle was judged") == 4


@pytest.mark.parametrize("which", ["completed", "rolled_back", "paused"])
def test_the_page_holds_every_stage_gate_and_total(which: str, request: pytest.FixtureRequest) -> None:
    rehearsed: Rehearsed = request.getfixturevalue(which)
    text = rehearsed.page.text
    for stage in rehearsed.summary["stages"]:
        assert f"{stage['disagreements']} of {stage['audits']}" in text
        assert f"{stage['escalations_adaptive']} and {stage['escalations_baseline']}" in text
        for gate in stage["gates"]:
            row = f"{gate['gate'].replace('_', ' ')} {gate['outcome']} {gate['sentence']}"
            assert row in text
    resolved = rehearsed.ending.resolved
    for name in ("committed", "rolled_back", "invalid", "skipped", "unchanged", "stale", "already", "reused"):
        assert f"{name.replace('_', ' ')} {getattr(resolved, name)} " in text
    assert f"{resolved.corrections} arrivals of 100 corrections; {resolved.escalations} target" in text
    assert rehearsed.summary["plan_id"] in text


@pytest.mark.parametrize("which", ["completed", "rolled_back", "paused"])
def test_the_page_refers_to_nothing_outside_of_itself(which: str, request: pytest.FixtureRequest) -> None:
    rehearsed: Rehearsed = request.getfixturevalue(which)
    page = rehearsed.page
    addresses = set(re.findall(r"""https?://[^"'\s<>)]*""", rehearsed.html))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert rehearsed.html.count("<svg") == 4
    assert {reference.removeprefix("#") for reference in page.references} <= set(page.ids)
    assert all(reference.startswith("#") for reference in page.references)
    assert len(page.ids) == len(set(page.ids))


@pytest.mark.parametrize("which", ["completed", "rolled_back", "paused"])
def test_what_is_not_known_is_a_dash(which: str, request: pytest.FixtureRequest) -> None:
    rehearsed: Rehearsed = request.getfixturevalue(which)
    # Beside the numbers as JSON, which say null.
    shown = rehearsed.page.text.split("All numbers, as JSON")[0]
    assert not {"nan", "None", "null", "inf"} & set(re.findall(r"\w+", shown))


def test_hostile_names_stay_text(paused: Rehearsed) -> None:
    page = paused.page
    assert not page.tags & {"script", "img"}
    # In the headline, over each of the four plots (shortened), in the table of stages and above its gates.
    assert page.text.count(_plain(HOSTILE)) >= 4
    assert page.text.count(_plain(plots.short(HOSTILE))) == 4


def test_equal_rehearsals_give_equal_bytes(rolled_back: Rehearsed) -> None:
    again = _rehearse(rolled_back.setup.directory, Kind.MARGIN)
    assert again.html == rolled_back.html


def test_the_bundle_and_its_commands_are_named_and_work(
    rolled_back: Rehearsed, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = rolled_back.summary["bundle"]
    assert bundle in rolled_back.page.text
    first, *others = commands(rolled_back.setup, rolled_back.ending)
    assert all(line in rolled_back.page.text for line in (first, *others))
    assert len(others) == 2
    for line in others:
        assert shlex.split(line)[0] == "suffice"
        assert suffice(shlex.split(line)[1:]) == 0
    assert "are as they were frozen" in capsys.readouterr().out


def test_the_rehearsal_is_named_with_all_that_it_was_made_from(rolled_back: Rehearsed) -> None:
    setup = replace(rolled_back.setup, source="pdg", directory=Path("a folder"))
    config = shlex.quote(str(Path("a folder") / "config.json"))
    assert commands(setup, rolled_back.ending)[0] == (
        f"suffice rehearse --config {config} --source pdg --rule proportion --method optimal --seed {setup.seed} "
        "--fault shadow:margin --dir 'a folder-again'"
    )
    assert "--records RECORDS --measurements MEASUREMENTS" in commands(rolled_back.setup, rolled_back.ending)[0]


def test_the_guarantee_is_said_to_be_what_it_is(completed: Rehearsed) -> None:
    assert "The guarantee is exact: whatever the truth" in completed.page.text
    means = replace(completed.setup, plan=plan(PairedMean(), N, 0.01))
    assert "The guarantee is asymptotic: " in Page(report_html(means, completed.ending, completed.summary)).text
    heuristic = plan(Proportion(0.8), N, 0.01, method="margin", margin=Margin(8, 2, 0.01))
    assert guarantee(replace(completed.setup, plan=heuristic)).startswith("There is no guarantee: ")
    split = plan(Proportion(0.8), N, {"accept": 0.001, "reject": 0.01})
    assert "accept 0.1 %, reject 1 % was agreed" in _plain(guarantee(replace(completed.setup, plan=split)))


def test_a_report_is_written_whole_or_not_at_all(completed: Rehearsed, tmp_path: Path) -> None:
    path = tmp_path / "rehearsal" / "report.html"
    write_report(completed.setup, completed.ending, completed.summary, path)
    assert path.read_text(encoding="utf-8") == completed.html
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        write_report(completed.setup, completed.ending, completed.summary, tmp_path / "folder")


def _row(day: float, stage: str, **values: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("audits", "disagreements", "disagreement_upper", "disagreement_lower",
                           "sample_reduction", "net", "excess", "spared"))  # fmt: skip
    return {"day": day, "stage": stage, "phase": "Progressing", "weight": 0, **empty, **values}


HISTORY = [
    _row(0.5, "one", audits=10, disagreements=0, disagreement_upper=0.2, disagreement_lower=0.0, excess=0, spared=1),
    _row(1.0, "one", audits=20, disagreements=1, disagreement_upper=0.1, disagreement_lower=0.0, excess=1, spared=1,
         weight=50),
    _row(1.5, "two", weight=50),
    _row(2.0, "two", audits=5, disagreements=5, disagreement_upper=1.0, disagreement_lower=0.5, excess=3, spared=0,
         sample_reduction=0.4, net=0.1, phase="RolledBack"),
]  # fmt: skip


def test_a_stage_begins_where_the_one_before_it_ended() -> None:
    spans = plots.spans_of(HISTORY)
    assert [(span.stage, span.begin, span.end, len(span.rows)) for span in spans] == [
        ("one", 0.0, 1.0, 2),
        ("two", 1.0, 2.0, 2),
    ]
    assert spans[0].values("audits") == [10, 20]
    missing, known = spans[1].values("sample_reduction", 100)
    assert isnan(missing)
    assert known == 40
    assert plots.spans_of([]) == []


def test_weights_are_steps_and_each_change_of_phase_has_a_mark() -> None:
    (axes,) = plots.stages_figure(HISTORY, 0, Phase.ROLLED_BACK).axes
    weight = next(line for line in axes.lines if line.get_gid() == "weight")
    assert list(weight.get_xdata()) == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert list(weight.get_ydata()) == [0, 0, 50, 50, 0]
    assert weight.get_drawstyle() == "steps-post"
    assert axes.get_legend_handles_labels()[1] == ["rolled back on day 2.00"]


def test_a_pause_after_the_last_cycle_has_its_mark_too() -> None:
    (axes,) = plots.stages_figure(HISTORY[:2], 0, Phase.PAUSED).axes
    assert axes.get_legend_handles_labels()[1] == ["paused on day 1.00"]


def test_the_closing_bound_starts_anew_with_each_stage_and_leaves_gaps() -> None:
    (axes,) = plots.disagreement_figure(HISTORY, 0.01).axes
    drawn = [(list(line.get_xdata()), [round(y, 9) for y in line.get_ydata()]) for line in axes.lines]
    assert ([0.5, 1.0], [20.0, 10.0]) in drawn
    assert ([0.5, 1.0], [0.0, 5.0]) in drawn
    assert any(days == [1.5, 2.0] and isnan(bound[0]) and bound[1] == 100 for days, bound in drawn)
    assert axes.get_legend_handles_labels()[1] == ["not ruled out", "observed", "limit 1 %"]


def test_excess_goes_up_and_spared_goes_down() -> None:
    (axes,) = plots.escalations_figure(HISTORY).axes
    drawn = [list(line.get_ydata()) for line in axes.lines]
    assert [0, 1] in drawn
    assert [-1, -1] in drawn
    assert axes.yaxis.get_major_formatter()(-3, 0) == "3"


def test_a_value_alone_is_a_dot_and_nothing_measured_is_nothing() -> None:
    (axes,) = plots.draws_figure(HISTORY, 0.3).axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_ydata()[1] for line in dots] == [40, 10]
    for value in (None, nan):
        (axes,) = plots.draws_figure([_row(1.0, "one", sample_reduction=value)], 0.3).axes
        assert all(isnan(y) for line in axes.lines[:2] for y in line.get_ydata())


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 0.3)), max_size=12))
def test_names_of_one_level_do_not_overlap(pairs: list[tuple[float, float]]) -> None:
    places = sorted((middle, middle + width) for middle, width in pairs)
    chosen = plots.levels(places)
    for i, (begin, end) in enumerate(places):
        below = [places[j] for j in range(i) if chosen[j] == chosen[i]]
        assert all(other <= begin for _, other in below)
        # The lowest level that is free: each one below is taken.
        for level in range(chosen[i]):
            assert any(chosen[j] == level and places[j][1] > begin for j in range(i))
        assert begin < end
