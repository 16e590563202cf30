"""`python -m tests.mutation [MODULE …]`: would the tests notice each of these mistakes?

Every mutant of a module runs the test files that judge the module. It is killed when one of them fails, and survives
when all pass. Exit code 0: every survivor is named in `equivalent.toml`. 2: one is not, or a name there is of no
survivor. 3: tests fail without any mistake, so that nothing can be told.

Each mutant runs in a process that is forked off when all third-party packages are imported. Its time is limited in
seconds of CPU, so that a busy machine kills none.
"""

import gc
import importlib
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType

import pytest
from tests.mutation.judges import EQUIVALENT, JUDGES
from tests.mutation.mutants import Mutant, mutants_of

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "suffice"

IMPORTED_ONCE = (
    *("alembic.config", "hypothesis", "numpy", "openfeature.api", "psycopg", "pydantic", "pytest"),
    *("scipy.integrate", "scipy.optimize", "scipy.special", "scipy.stats", "sqlalchemy"),
)

CPU_FACTOR, CPU_MORE = 5, 5
"""A mutant has this many times the CPU seconds that the tests take without it, and so many seconds more."""

WALL_SECONDS = 900
"""For one that waits for ever, and takes no CPU."""


class TestsFail(Exception):
    """Tests fail without any mistake."""


@dataclass(frozen=True, slots=True)
class Run:
    passed: bool
    cpu_seconds: float


class Mutated(MetaPathFinder, SourceFileLoader):
    """Gives the mutant's code instead of the file's."""

    def __init__(self, module: str, path: Path, code: CodeType) -> None:
        super().__init__(module, str(path))
        self._code = code

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if fullname == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        return self._code


class Settings:
    """What the tests of a mutant need not do: shrink an example that fails, and solve plans anew.

    A plan is made by none of the modules that are mutated.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings

        settings.register_profile("mutation", settings(), phases=(Phase.explicit, Phase.generate))
        settings.load_profile("mutation")
        os.environ["SUFFICE_CACHE_DIR"] = str(self._cache)


def main(modules: Sequence[str]) -> int:
    unknown = [module for module in modules if module not in JUDGES]
    if unknown:
        print(f"no tests judge {unknown[0]}; allowed: {', '.join(JUDGES)}", file=sys.stderr)
        return 2
    for package in IMPORTED_ONCE:
        importlib.import_module(package)
    # Else each collection of each mutant goes over all that was imported.
    gc.freeze()
    try:
        wrong = [line for module in modules or JUDGES for line in judge(module, EQUIVALENT.get(module, {}))]
    except TestsFail as error:
        print(error, file=sys.stderr)
        return 3
    return 2 if wrong else 0


def judge(module: str, equivalent: Mapping[str, str]) -> list[str]:
    """What the tests of a module let pass, and what `equivalent` names wrongly; printed while it is found."""
    path, tests = SOURCES / module, [str(ROOT / "tests" / file) for file in JUDGES[module]]
    mutants = list(mutants_of(path.read_text(encoding="utf-8"), str(path)))
    with tempfile.TemporaryDirectory(prefix="suffice-mutation-") as cache:
        plain = run(path, None, tests, Path(cache), WALL_SECONDS)
        if not plain.passed:
            raise TestsFail(f"{module}: {' '.join(JUDGES[module])} do not pass without a mistake")
        most = int(CPU_FACTOR * plain.cpu_seconds) + CPU_MORE
        survivors = []
        for mutant in mutants:
            if run(path, mutant, tests, Path(cache), most).passed:
                survivors.append(mutant.name)
                if mutant.name not in equivalent:
                    print(f"{module}:{mutant.line}: {mutant.name}", flush=True)
    unseen = [name for name in survivors if name not in equivalent]
    stale = [name for name in equivalent if name not in survivors]
    for name in stale:
        print(f"{module}: named equivalent, but killed or no mutant: {name}", flush=True)
    killed, named = len(mutants) - len(survivors), len(survivors) - len(unseen)
    print(f"{module}: {len(mutants)} mutants, {killed} killed, {named} named equivalent, {len(unseen)} not noticed")
    return unseen + stale


def run(path: Path, mutant: Mutant | None, tests: Sequence[str], cache: Path, most_cpu: int) -> Run:
    """Whether the tests pass, of the module as it is (None) or with a mistake."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _limit(most_cpu)
            if mutant is not None:
                module = ".".join(path.relative_to(SOURCES.parent).with_suffix("").parts)
                sys.meta_path.insert(0, Mutated(module, path, mutant.code))
            status = pytest.main(["-x", "-W", "ignore::pytest.PytestAssertRewriteWarning", *tests], [Settings(cache)])
        finally:
            os._exit(status)
    _, status, used = os.wait4(pid, 0)
    return Run(status == 0, used.ru_utime + used.ru_stime)


def _limit(most_cpu: int) -> None:
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (most_cpu, most_cpu))
    signal.alarm(WALL_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
