"""Our wheel in an environment of its own, where nothing of this repository can be found."""

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Bare:
    """An environment with the wheel and what it needs, and nothing else."""

    folder: Path

    @property
    def packages(self) -> Path:
        return self.folder / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"

    def run(self, program: str, folder: Path, **named: Any) -> str:
        command = [self.folder / "bin/python", "-c", program]
        done = subprocess.run(
            command, cwd=folder, env=self.environment, capture_output=True, text=True, check=False, **named
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of this environment may be found there; the rest, like where a home is, a host has too."""
        others = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SUFFICE"))}
        return {**others, "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def built(folder: Path) -> Path:
    """The wheel, built of what is here."""
    uv("build", "--wheel", "--no-build-isolation", "--out-dir", folder, ROOT)
    return next(folder.glob("*.whl"))


def linked(folder: Path, wheel: Path) -> Bare:
    """The wheel installed; what it needs is linked from this environment, without a network."""
    bare = Bare(folder)
    venv.create(bare.folder)
    uv("pip", "install", "--no-deps", "--python", bare.folder / "bin/python", wheel)
    (suffice,) = distributions(path=[str(bare.packages)])
    for needed in closure(suffice, {}).values():
        link(needed, bare.packages)
    return bare


def uv(*words: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "uv", "--offline", "--quiet", *words], check=True)


def closure(package: Distribution, seen: dict[str, Distribution]) -> dict[str, Distribution]:
    """The distributions that an installation of the package without extras brings."""
    for line in package.requires or ():
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            assert not requirement.extras, f"{package.name} needs {line}: an extra, which is not followed here"
            if name not in seen:
                seen[name] = distribution(name)
                closure(seen[name], seen)
    return seen


def link(package: Distribution, folder: Path) -> None:
    for file in package.files or ():
        if file.parts[0] != ".." and file.suffix != ".pyc":
            place = folder / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file.locate())
