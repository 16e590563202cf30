"""`python -m tests.mutation [MODULE …]`: would the tests notice each of these mistakes?

Every mutant of a module runs the test files that judge the module. It is killed when one of them fails, and survives
when all pass. Exit code 0: every survivor is named in `equivalent.toml`. 2: one is not, or a name there is of no
survivor. 3: tests fail without any mistake, so that nothing can be told.

Each mutant runs in a process that is forked off when pytest is about to collect the tests. Limited are its seconds of
CPU, and those in which it waits for something other than a CPU, so that a busy machine kills none.
"""

import gc
import importlib
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_loader
from math import inf
from pathlib import Path
from random import Random
from types import CodeType, ModuleType

import pytest
from hypothesis import Phase, settings
from tests.mutation.judges import EQUIVALENT, JUDGES, SAMPLED
from tests.mutation.mutants import Mutant, mutants_of

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "suffice"

IMPORTED_ONCE = (
    *("alembic.config", "numpy", "openfeature.api", "psycopg", "pydantic"),
    *("scipy.integrate", "scipy.optimize", "scipy.special", "scipy.stats", "sqlalchemy"),
)

FACTOR, MORE_CPU, MORE_IDLE = 5, 5, 10
"""A mutant has this many times the seconds that its tests take without it, of CPU and idle, and so many more."""

EXAMPLES = 20
"""Of a test that asks for no number of its own: what only a hundredth one shows deserves an example that is written."""

WALL_SECONDS = 900
"""Where the system does not tell for how long a process was idle."""

_LOOKS = 0.02


class CannotTell(Exception):
    """Nothing can be told of a module's mutants."""


class Mutated(MetaPathFinder, SourceFileLoader):
    """Gives the mutant's code instead of the file's."""

    def __init__(self, module: str, path: Path, code: CodeType) -> None:
        super().__init__(module, str(path))
        self._code = code

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if fullname == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        return self._code


def mutants_to_judge(module: str) -> list[Mutant]:
    """The mutants of a module; of one that takes long a sample. A name draws for itself: an edit moves no other."""
    path, share = SOURCES / module, SAMPLED.get(module, 1.0)
    every = mutants_of(path.read_text(encoding="utf-8"), str(path))
    return [mutant for mutant in every if Random(mutant.name).random() < share]


class Forks:
    """A plug-in of pytest that collects and runs the tests once for each mutant, in a fork of its own.

    The tests of a mutant need not shrink an example that fails, and need not solve plans anew: a plan is made by none
    of the modules that are mutated.
    """

    def __init__(self, module: str, folder: Path) -> None:
        self._path, self._name = SOURCES / module, ".".join(("suffice", *Path(module).with_suffix("").parts))
        self._folder = folder
        self.in_fork = False
        self.unknown: str | None = "pytest did not come to its collection"
        self.mutants = mutants_to_judge(module)
        self.survivors: list[Mutant] = []

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", settings(), phases=phases, max_examples=EXAMPLES)
        settings.load_profile("mutation")
        os.environ["SUFFICE_CACHE_DIR"] = str(self._folder)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        if self._name in sys.modules:
            self.unknown = "it is imported before the tests are, so that no test would meet its mutants"
            pytest.exit(self.unknown)
        # Else each collection of garbage in each fork goes over all that was imported.
        gc.freeze()
        passed, cpu, idle = self._forked(None, WALL_SECONDS, WALL_SECONDS)
        if self.in_fork:
            return
        if not passed:
            self.unknown = "its tests fail without any mistake"
            pytest.exit(self.unknown)
        for mutant in self.mutants:
            passed, *_ = self._forked(mutant, int(FACTOR * cpu) + MORE_CPU, FACTOR * idle + MORE_IDLE)
            if self.in_fork:
                return
            if passed:
                self.survivors.append(mutant)
        self.unknown = None
        pytest.exit("every mutant was judged")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if self.in_fork:
            # What is cleaned up at the end belongs to the process that forked.
            os._exit(exitstatus)

    def _forked(self, mutant: Mutant | None, most_cpu: int, most_idle: float) -> tuple[bool, float, float]:
        """Whether the tests passed, their CPU seconds and idle ones; in the fork itself, returns at once."""
        pid = os.fork()
        if pid == 0:
            self.in_fork = True
            _limit(most_cpu)
            if mutant is not None:
                sys.meta_path.insert(0, Mutated(self._name, self._path, mutant.code))
            return False, 0.0, 0.0
        try:
            return _ended(pid, most_idle)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _ended(pid: int, most_idle: float) -> tuple[bool, float, float]:
    began, idle = time.monotonic(), 0.0
    while True:
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if ended:
            return status == 0, used.ru_utime + used.ru_stime, idle
        idle = max(idle, time.monotonic() - began - _busy(pid))
        if idle > most_idle:
            os.kill(pid, signal.SIGKILL)
        time.sleep(_LOOKS)


def _busy(pid: int) -> float:
    """For how many seconds a process ran or waited for a CPU; unlimited where the system does not tell."""
    try:
        ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    except OSError:
        return inf
    return (int(ran) + int(waited)) / 1e9


def _limit(most_cpu: int) -> None:
    # What the tests start is ended with them.
    os.setpgid(0, 0)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (most_cpu, most_cpu))
    signal.alarm(WALL_SECONDS)


def main(modules: Sequence[str]) -> int:
    unknown = [module for module in modules if module not in JUDGES]
    if unknown:
        print(f"no tests judge {unknown[0]}; allowed: {', '.join(JUDGES)}", file=sys.stderr)
        return 2
    for package in IMPORTED_ONCE:
        importlib.import_module(package)
    try:
        wrong = [name for module in modules or JUDGES for name in judge(module, EQUIVALENT.get(module, {}))]
    except CannotTell as error:
        print(error, file=sys.stderr)
        return 3
    return 2 if wrong else 0


def judge(module: str, equivalent: Mapping[str, str]) -> list[str]:
    """The mutants of a module that its tests let pass, and what `equivalent` names wrongly; printed too."""
    with (
        tempfile.TemporaryDirectory(prefix="suffice-mutation-") as folder,
        Path(os.devnull).open("w", encoding="utf-8") as silent,
        redirect_stdout(silent),
    ):
        forks = Forks(module, Path(folder))
        tests = [str(ROOT / "tests" / file) for file in JUDGES[module]]
        # A server for each mutant would take most of the time.
        options = [
            "-x",
            "-s",
            "-k",
            "not postgresql",
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
            f"--basetemp={folder}/tests",
        ]
        pytest.main([*options, *tests], [forks])
        if forks.in_fork:
            os._exit(1)
    if forks.unknown:
        raise CannotTell(f"{module}: {forks.unknown}")
    survivors = {mutant.name: mutant.line for mutant in forks.survivors}
    unseen = [name for name in survivors if name not in equivalent]
    stale = [name for name in equivalent if name not in survivors]
    for name in unseen:
        print(f"{module}:{survivors[name]}: {name}")
    for name in stale:
        print(f"{module}: named equivalent, but killed or no mutant: {name}")
    total, passed = len(forks.mutants), len(survivors)
    counts = f"{total} mutants, {total - passed} killed, {passed - len(unseen)} named equivalent"
    print(f"{module}: {counts}, {len(unseen)} not noticed", flush=True)
    return unseen + stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
