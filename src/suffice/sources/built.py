"""Cases that a service builds itself, by the function that `verifier.cases` names."""

import sys
import traceback
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

from suffice.errors import DataError, shown
from suffice.verifier.case import Case, Features


@dataclass(frozen=True, slots=True)
class Builder:
    """The function of a service that builds its cases: `name` is "module:function", imported as if Python was started
    in `folder`, which is that of config.json, or in the working directory.

    The function is called as `build(key=…, target=…, region=…, features=…)`, features as they are in the ledger. Two
    calls with the same values must build cases with the same draws.
    """

    name: str
    folder: Path

    @classmethod
    def of(cls, name: str | None, config: Path) -> Self | None:
        """The builder that the configuration in a file names, None where it names none."""
        return None if name is None else cls(name, config.resolve().parent)

    def check(self) -> None:
        """Raises DataError when the function cannot be imported."""
        _imported(self)

    def case(self, key: str, target: str, region: str | None, features: Features) -> Case:
        """The case with this key. Raises DataError when the function raises, or returns anything else."""
        build = _imported(self)
        try:
            case = build(key=key, target=target, region=region, features=dict(features))
        except Exception as error:
            raise DataError(f"{self._here}: raised for case {key!r}: {one_line(error)}") from error
        if not isinstance(case, Case):
            raise DataError(f"{self._here}: returned {shown(case)} for case {key!r}; allowed: a suffice.Case")
        for name, asked, built in (("key", key, case.key), ("target", target, case.target)):
            if asked != built:
                raise DataError(
                    f"{self._here}: returned a case with {name} {shown(built)}; allowed: the one it was asked for, "
                    f"{shown(asked)}"
                )
        return case

    @property
    def _here(self) -> str:
        return f"verifier.cases {self.name}"


@cache
def _imported(builder: Builder) -> Any:
    module, _, function = builder.name.partition(":")
    for folder in (str(Path.cwd()), str(builder.folder)):
        if folder not in sys.path:
            # As for `python -m`: what the service imports from beside its configuration is found first.
            sys.path.insert(0, folder)
    allowed = f"module:function, to be imported in {builder.folder}"
    try:
        build = attrgetter(function)(import_module(module))
    except (Exception, SystemExit) as error:
        raise DataError(f"verifier.cases is {builder.name!r}: {one_line(error)}; allowed: {allowed}") from error
    if not callable(build):
        raise DataError(f"verifier.cases is {builder.name!r}: {shown(build)} cannot be called; allowed: {allowed}")
    return build


def one_line(error: BaseException) -> str:
    """What a service's code raised, and where."""
    text = " ".join(str(error).split())[:200]
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}, line {last.lineno}"
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    # Where Python's own import or a call of ours fails is of no use.
    return named if last.filename.startswith("<frozen") or last.filename == __file__ else f"{named} ({place})"
