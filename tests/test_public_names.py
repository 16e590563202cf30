"""The public names: all there, imported when they are first used."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

import suffice
import suffice.errors


def test_every_public_name_imports() -> None:
    assert suffice.__all__ == sorted(set(suffice.__all__))
    for name in suffice.__all__:
        assert getattr(suffice, name).__module__.startswith("suffice."), name
    assert {"Case", "Verifier", "Proportion", "plan"} <= set(suffice.__all__)
    assert set(suffice.__all__) <= set(dir(suffice))


def test_a_name_that_is_none_is_refused_as_python_does() -> None:
    assert not hasattr(suffice, "verifyer")


def test_every_exception_can_be_caught_by_its_public_name() -> None:
    tree = {
        name for name, kind in vars(suffice.errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)
    }
    assert "SufficeError" in tree <= set(suffice.__all__)
    with pytest.raises(suffice.SufficeError, match="at_least is 2; allowed: 0 to 1"):
        suffice.Proportion(2)


def classes_in(hint: Any) -> Iterator[type]:
    """The classes of this package in an annotation."""
    if inspect.isclass(hint) and hint.__module__.startswith("suffice."):
        yield hint
    for part in get_args(hint):
        yield from classes_in(part)


def functions_of(public: Any) -> Iterator[Any]:
    """The public functions and methods of a name."""
    if inspect.isclass(public):
        for name, method in inspect.getmembers(public, inspect.isroutine):
            if inspect.isfunction(getattr(method, "__func__", method)) and (name == "__init__" or name[0] != "_"):
                yield method
    elif inspect.isfunction(public):
        yield public


@pytest.mark.parametrize("name", suffice.__all__)
def test_whoever_takes_a_path_takes_its_text(name: str) -> None:
    for function in functions_of(getattr(suffice, name)):
        for parameter in inspect.signature(function).parameters.values():
            hint = str(parameter.annotation)
            assert "Path" not in hint or "str" in hint, f"{function.__qualname__}: {parameter}"


@pytest.mark.parametrize(
    "documented",
    [
        suffice.plan,
        suffice.Case,
        suffice.Plan,
        suffice.Plan.start,
        suffice.Run,
        suffice.Pair,
        suffice.Served,
        suffice.Verdict,
        suffice.Verifier.verify,
        suffice.Verifier.arm,
    ],
)
def test_what_a_signature_uses_is_a_public_name(documented: Any) -> None:
    used = {kind.__name__ for hint in get_type_hints(documented).values() for kind in classes_in(hint)}
    assert used <= set(suffice.__all__)


def test_paths_are_texts_too(tmp_path: Path) -> None:
    cache = suffice.PlanCache(str(tmp_path / "cache"))
    plan = suffice.plan(suffice.Proportion(0.8), 30, cache=cache)
    plan.save(str(tmp_path / "plan.json"))
    assert suffice.Plan.load(str(tmp_path / "plan.json")) == plan
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    plan = suffice.plan(suffice.Proportion(0.8), np.int64(30), look_every=np.int32(5), n_min=np.uint8(10))
    assert plan == suffice.plan(suffice.Proportion(0.8), 30, look_every=5, n_min=10)
    assert suffice.plan(suffice.Proportion(0.8), 30, looks=np.array([10, 20])).looks == (10, 20)
    assert suffice.Plan.from_dict(plan.to_dict()) == plan
    for wrong in (np.float64(30), np.True_):
        with pytest.raises(suffice.PlanError, match="allowed: a whole number of draws"):
            suffice.plan(suffice.Proportion(0.8), wrong)


def test_a_plan_and_a_run_are_shown_in_one_line() -> None:
    plan = suffice.plan(suffice.Proportion(0.8), 100, 0.01)
    assert repr(plan) == (
        f"<Plan {plan.id[:12]} optimal for Proportion(at_least=0.8): N 100, 99 looks, ASN 28.87, "
        "disagreement 0.00981 of at most 0.01 (exact)>"
    )
    run = plan.start()
    run.observe([1, 0, 1])
    assert repr(run) == f"<Run Proportion(at_least=0.8) 3 of 100 draws, needs {run.need} more>"
    run.observe([0] * 97)
    assert repr(run) == f"<Run Proportion(at_least=0.8) {run.verdict.n} of 100 draws, rejected>"
