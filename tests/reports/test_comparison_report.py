"""The report holds the counted numbers, needs nothing outside of its file, and is the same for the same input."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from html_page import Page
from suffice.comparison.compare import Comparison, MethodResult, Total, compare
from suffice.decision.paired_mean import PairedMean
from suffice.decision.proportion import Proportion
from suffice.decision.rule import Rule
from suffice.errors import OutputError
from suffice.reports.comparison_report import SHOWN, Standing, headline, percent, report_html, standing, write_report
from suffice.sources.even import even_cases
from suffice.stopping.make import plan
from suffice.verifier.case import Case

N, SEED = 100, 7


def _compare(cases: Iterable[Case], rule: Rule, *methods: str) -> Comparison:
    return compare(cases, rule, N, [plan(rule, N, 0.01, method=method) for method in methods], SEED)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    rule = Proportion(0.7)
    return _compare(even_cases(rule, N, 200), rule, "optimal", "curtailed-exact", "margin")


@pytest.fixture(scope="module")
def page(comparison: Comparison) -> Page:
    return Page(report_html(comparison, "even"))


def _near(key: str, target: str = "target") -> Case:
    """A case at the boundary, where margin often disagrees."""
    return Case(key, target, lambda rng, n: rng.random(n) < 0.7)


def test_the_page_holds_the_numbers_of_every_summary(comparison: Comparison, page: Page) -> None:
    for i in range(3):
        summary = comparison.summary(i)
        row = (
            f"{summary['method']} {100 * summary['sample_reduction']:.1f} % {summary['avg_adaptive_n']:.1f} "
            f"{summary['disagreements']} = {100 * summary['disagreement_rate']:.2f} % "
            f"{100 * summary['disagreement_lower']:.2f} % … {100 * summary['disagreement_upper']:.2f} % "
            f"{100 * summary['worst_disagreement']:.2f} % 1 % {summary['guarantee']}"
        )
        assert row in page.text
        assert summary["plan_id"] in page.text
        for band in summary["bands"]:
            assert f" {band['cases']} " in page.text


def test_the_headline_says_what_was_saved_and_what_differs(comparison: Comparison, page: Page) -> None:
    summary = {"cases": 13_240, "judged": 13_234, "disagreements": 8, "sample_reduction": 0.6671,
               "disagreement_upper": 0.0011907}  # fmt: skip
    expected = "66.7 % of the draws saved; 8 of 13,234 decisions differ (at most 0.12 % with 95 % confidence)"
    assert headline(summary).replace("\N{NO-BREAK SPACE}", " ") == expected
    assert "1 of 13,234 decisions differs" in headline({**summary, "disagreements": 1})
    assert headline(comparison.summary(0)).replace("\N{NO-BREAK SPACE}", " ") in page.text


def test_the_page_refers_to_nothing_outside_of_itself(comparison: Comparison, page: Page) -> None:
    html = report_html(comparison, "even")
    assert set(re.findall(r"""https?://[^"'\s<>)]*""", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert "@import" not in html
    assert "<svg" in html
    assert all(reference.startswith("#") for reference in page.references)


def test_every_reference_has_its_one_target(page: Page) -> None:
    assert page.references
    assert len(page.ids) == len(set(page.ids))
    assert {reference.removeprefix("#") for reference in page.references} <= set(page.ids)


def test_equal_comparisons_give_equal_bytes_in_any_process(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from suffice.decision.proportion import Proportion\n"
        "from suffice.comparison.compare import compare; from suffice.reports.comparison_report import write_report\n"
        "from suffice.sources.even import even_cases; from suffice.stopping.make import plan\n"
        "rule = Proportion(0.7); plans = [plan(rule, 100, method=m) for m in ('optimal', 'margin')]\n"
        "result = compare(even_cases(rule, 100, 60), rule, 100, plans, 7)\n"
    )
    write = "for name in sys.argv[1:]: write_report(result, Path(name), source='even')\n"
    plain = "assert 'matplotlib.pyplot' not in sys.modules\n"
    names = [tmp_path / f"{i}.html" for i in range(3)]
    command = [sys.executable, "-c", script + write + plain, *map(str, names[:2])]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "1"})
    here: dict[str, Any] = {}
    exec(script, here)
    write_report(here["result"], names[2], source="even")
    assert len({name.read_bytes() for name in names}) == 1


def test_another_seed_gives_another_page(comparison: Comparison) -> None:
    rule = Proportion(0.7)
    other = compare(even_cases(rule, N, 200), rule, N, [method.plan for method in comparison.methods], SEED + 1)
    assert report_html(other, "even") != report_html(comparison, "even")


def test_hostile_names_stay_text() -> None:
    hostile = "<script>alert('key')</script>"
    target = '"><img src=x onerror=alert(1)>'
    cases = [_near(f"{hostile}{i}", target) for i in range(40)]
    result = _compare(cases, Proportion(0.7), "margin")
    assert result.disagreeing[0]
    page = Page(report_html(result, f"</title>{hostile}"))
    assert not page.tags & {"script", "img"}
    assert hostile in page.text
    assert target in page.text


def test_at_most_fifty_disagreeing_cases_are_shown_and_all_are_counted() -> None:
    result = _compare([_near(f"case {i:03}.") for i in range(400)], Proportion(0.7), "margin")
    differing = [decided.case.key for decided in result.disagreeing[0]]
    assert len(differing) > SHOWN
    text = Page(report_html(result, "cases")).text
    assert [key for key in differing if key in text] == differing[:SHOWN]
    assert f"{SHOWN} of {len(differing)} shown" in text


def test_a_disagreeing_case_is_shown_with_what_reproduces_it() -> None:
    result = _compare([_near(f"case {i:03}.", f"target {i}") for i in range(60)], Proportion(0.7), "margin")
    assert result.disagreeing[0]
    text = Page(report_html(result, "cases")).text
    for differing in result.disagreeing[0]:
        effect = f"{differing.effect:+.2f}".replace("-", "−")
        row = f"{differing.case.key} {differing.case.target} {effect} {differing.baseline.decision.value} "
        assert row + f"{differing.verdicts[0].decision.value} {differing.verdicts[0].n} {SEED}" in text


@pytest.mark.parametrize("rule", [Proportion(0.7), PairedMean()], ids=lambda rule: rule.name)
def test_a_comparison_without_cases_makes_a_page_that_claims_nothing(rule: Rule) -> None:
    text = Page(report_html(_compare([], rule, "margin", "fixed"), "nothing")).text
    assert "No case has a valid baseline: nothing can be judged" in text
    assert text.count("cannot tell") == 2
    assert "nan" not in text.lower().split()


def test_invalid_cases_are_counted_apart() -> None:
    rule = Proportion(0.7)
    invalid = [Case(f"invalid {i}", "t", lambda rng, n: np.full(n, nan)) for i in range(3)]
    only = Page(report_html(_compare(invalid, rule, "optimal"), "cases")).text
    assert "3 of 3 cases have an invalid baseline (a draw was NaN or infinite): 0 of them were decided all the" in only
    assert "nothing can be judged" in only
    mixed = Page(report_html(_compare([*invalid, *even_cases(rule, N, 50)], rule, "optimal"), "cases")).text
    assert "3 of 53 cases have an invalid baseline" in mixed
    assert "of 50 decisions differ" in mixed


def test_a_page_about_means_says_asymptotic_and_one_about_counts_says_exact() -> None:
    rule = PairedMean()
    means = Page(report_html(_compare(even_cases(rule, N, 50), rule, "margin"), "even")).text
    assert "The statistic of the sample as draws come in" in means
    for sentence in ("For counts (a share of successes) it is exact", "For means it is asymptotic"):
        assert sentence in means


@pytest.mark.parametrize(
    ("differ", "false_accepts", "cases", "allowed", "expected"),
    [
        (0, 0, 0, 0.01, Standing.UNKNOWN),
        (0, 0, 100, 0.01, Standing.SO_FAR),
        (0, 0, 367, 0.01, Standing.SO_FAR),
        (0, 0, 368, 0.01, Standing.HOLDS),
        (1, 0, 100, 0.01, Standing.SO_FAR),
        (2, 0, 100, 0.01, Standing.FAILS),
        (8, 4, 13_234, 0.01, Standing.HOLDS),
        (20, 0, 13_234, {"accept": 0.001, "reject": 0.01}, Standing.HOLDS),
        (20, 20, 13_234, {"accept": 0.001, "reject": 0.01}, Standing.FAILS),
    ],
)
def test_the_verdict_on_a_method(
    differ: int, false_accepts: int, cases: int, allowed: float | dict[str, float], expected: Standing
) -> None:
    # Two-sided 95 % after 0 of n: the upper end is 1 − 0.025^(1/n), at or below 1 % from n = 368 on.
    designed = replace(plan(Proportion(0.7), N, method="curtailed-exact"), max_disagreement=allowed)
    assert standing(MethodResult(designed, Total(cases, differ), false_accepts=false_accepts)) is expected


def test_an_unknown_share_is_a_dash() -> None:
    assert percent(None) == "–"
    assert percent(0.00125, 1).replace("\N{NO-BREAK SPACE}", " ") == "0.1 %"


def test_a_report_that_cannot_be_written_is_an_output_error(comparison: Comparison, tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        write_report(comparison, tmp_path / "report.html", source="even")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_report_is_written_with_its_folder(comparison: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "compare" / "report.html"
    write_report(comparison, path, source="even")
    assert path.read_text(encoding="utf-8") == report_html(comparison, "even")
