"""Mutants: which mistakes are made, and that each is named once, and told by where it is."""

import ast
from pathlib import Path

import pytest
from tests.mutation.__main__ import main, mutants_to_judge
from tests.mutation.judges import EQUIVALENT, JUDGES, SAMPLED
from tests.mutation.mutants import mutants_of

ROOT = Path(__file__).parents[2]


def names(source: str) -> list[str]:
    return [mutant.name for mutant in mutants_of(source, "a.py")]


@pytest.mark.parametrize(
    "source, changes",
    [
        ("a < b", ["a < b -> a <= b", "a < b -> a >= b"]),
        ("a is not b", ["a is not b -> a is b"]),
        ("a and b", ["a and b -> a or b", "a and b -> b", "a and b -> a"]),
        ("not a", ["not a -> a"]),
        ("a * -b", ["a * -b -> a / -b", "-b -> b"]),
        ("'a' + b", []),
        ("a = b if c else d", ["if c -> if True", "if c -> if False"]),
        ("f(a, b=c)", ["without f(a, b=c)", "f(…) without b=c"]),
        ("a = {b: c}", ["a dict without b: c"]),
        ("a = (b, c)", ["a tuple without b", "a tuple without c"]),
        ("a = max(b)", ["max -> min"]),
        ("a = [b for b in c if d]", ["for b in c if d -> for b in c"]),
        ("a: Literal[1] = 2.5", ["2.5 -> 3.5"]),
        ("@f(1)\nclass A(b=True): pass", ["True -> False"]),
        ("def f():\n    return None", []),
        ("def f():\n    return False", ["False -> True"]),
        ("def f():\n    return a", ["return a -> return None"]),
        ("raise A", ["without raise A"]),
        ("a.b = c", ["without a.b = c"]),
        ("a += b", ["a += b -> a -= b", "without a += b"]),
    ],
)
def test_the_mistakes_of_a_line(source: str, changes: list[str]) -> None:
    scope = "A" if source.startswith("@") else "f" if source.startswith("def") else "module"
    assert names(source) == [f"{scope}: {change}" for change in changes]


def test_a_mutant_runs_with_its_one_mistake() -> None:
    results = []
    for mutant in mutants_of("result = 3 - 2 == 1", "a.py"):
        names: dict[str, object] = {}
        exec(mutant.code, names)
        results.append(names["result"])
    assert results == [False] * 5, "!=, +, and another number in three places"


def test_names_say_where_are_unique_and_do_not_move_with_the_line() -> None:
    source = "class A:\n    def f(self):\n        return g(1, 1)"
    assert names(source)[1:] == ["A.f: 1 -> 2", "A.f: 1 -> 2 (no. 2)"]
    assert names(f"\n\n{source}") == names(source)


def test_the_source_is_the_same_after_all_its_mutants() -> None:
    source = (ROOT / "src" / "suffice" / "rollout" / "controller.py").read_text(encoding="utf-8")
    assert names(source) == names(ast.unparse(ast.parse(source)))


def test_every_mutant_of_a_module_compiles_and_leaves_the_others_as_they_are() -> None:
    source = (ROOT / "src" / "suffice" / "gates" / "plan.py").read_text(encoding="utf-8")
    every = list(mutants_of(source, "plan.py"))
    codes = [mutant.code for mutant in every]
    assert len(set(codes)) == len(codes) > 10
    assert [mutant.code for mutant in every] == codes


@pytest.mark.parametrize("module", JUDGES)
def test_what_is_named_equivalent_is_a_mutant_and_has_a_reason(module: str) -> None:
    known = {mutant.name for mutant in mutants_to_judge(module)}
    assert set(EQUIVALENT.get(module, {})) <= known
    assert all(reason.endswith(".") for reason in EQUIVALENT.get(module, {}).values())
    assert all((ROOT / "tests" / file).is_file() for file in JUDGES[module])


@pytest.mark.parametrize("module, share", SAMPLED.items())
def test_a_sample_is_about_its_share_of_a_module_and_the_same_each_time(module: str, share: float) -> None:
    every = list(mutants_of((ROOT / "src" / "suffice" / module).read_text(encoding="utf-8"), module))
    sample = [mutant.name for mutant in mutants_to_judge(module)]
    assert abs(len(sample) - share * len(every)) < 4 * (share * (1 - share) * len(every)) ** 0.5
    assert sample == [mutant.name for mutant in mutants_to_judge(module)]
    assert set(sample) < {mutant.name for mutant in every}


def test_a_module_that_nothing_judges_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gates/nothing.py"]) == 2
    assert capsys.readouterr().err.startswith("no tests judge gates/nothing.py; allowed: rollout/phases.py, ")


def test_modules_with_equivalent_mutants_are_judged() -> None:
    assert set(EQUIVALENT) <= set(JUDGES)
