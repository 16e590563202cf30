"""A map as people and programs read it."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from suffice.reports.plots import save_figure
from suffice.reports.region_plot import region_figure
from suffice.triage.map import Mapped
from suffice.triage.region import Axis, Space, fit
from suffice.triage.region_view import lines_of, plain_map
from suffice.triage.search import Found

HEAT, LOAD, MODEL = Axis("heat", 20, 90), Axis("load", 0, 1), Axis("model", values=("a", "b", "c"))


def mapped(axes: tuple[Axis, ...], *, resolved: bool = True, count: int = 1_500) -> Mapped:
    """Marked where the first feature is at 0.8 or more of its range, or is its last value; half of the cases there."""
    rng, space = np.random.default_rng(3), Space(axes)
    points = np.column_stack(
        [rng.integers(len(axis.values), size=count) if axis.is_text else rng.random(count) for axis in axes]
    ).astype(np.float64)
    edge = len(axes[0].values) - 1 if axes[0].is_text else 0.8
    labels = ((points[:, 0] >= edge) & (rng.random(count) < 0.5)).astype(np.int64)
    box = fit(points, labels, space, rng) if resolved else None
    return Mapped(space, Found(points, labels, box, resolved), count - 300, 300)


def test_the_words_hold_rules_rate_interval_and_support() -> None:
    seen = mapped((HEAT, LOAD))
    region, rate, sources = lines_of(seen)
    marked, cases = seen.inside
    assert region.startswith("The region: heat ≥ 7")
    assert rate.startswith(f"In it {marked:,} of {cases:,} cases are marked, {100 * marked / cases:.1f} % (95 %: ")
    assert rate.endswith(f"; outside 0 of {1_500 - cases:,}, 0.00 %.")
    assert sources.startswith("From 1,200 audits and 300 directed decisions. A case is marked when")


def test_programs_read_the_same() -> None:
    seen = plain_map(mapped((HEAT, LOAD)), 7)
    [rule] = seen["region"]
    assert (rule["feature"], rule["high"]) == ("heat", None)
    assert 75 <= rule["low"] <= 77
    assert seen["low"] < seen["rate"] < seen["high"]
    assert (seen["audits"], seen["decisions"], seen["seed"], seen["features"]) == (1_200, 300, 7, ["heat", "load"])
    assert plain_map(mapped((MODEL, LOAD)), 7)["region"] == [{"feature": "model", "values": ["c"]}]
    json.dumps(seen, allow_nan=False)


def test_what_is_not_resolved_has_no_rule_and_no_rate() -> None:
    seen = mapped((HEAT, LOAD), resolved=False)
    plain = plain_map(seen, 7)
    assert (plain["resolved"], plain["rules"], plain["region"], plain["rate"], plain["low"]) == (
        False,
        [],
        [],
        None,
        None,
    )
    assert lines_of(seen)[0].startswith("Not resolved: ")


@pytest.mark.parametrize(
    "axes",
    [
        (HEAT, LOAD, MODEL),
        (MODEL, HEAT),
        (HEAT,),
        (Axis("$\\frac{", 0, 1), Axis("<b>&\x1b[31m", values=("$x", "<i>", "\x07"))),
    ],
    ids=["numbers", "text", "one", "markup"],
)
@pytest.mark.parametrize("resolved", [True, False])
def test_the_picture_shows_names_as_they_are_and_is_the_same_each_time(
    tmp_path: Path, axes: tuple[Axis, ...], resolved: bool
) -> None:
    files = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for file in files:
        save_figure(region_figure(mapped(axes, resolved=resolved)), file)
    one, two = (file.read_bytes() for file in files)
    assert one == two
    texts = "".join(ET.fromstring(one).itertext())
    assert axes[0].name in texts
    assert ("not resolved" in texts) is not resolved
