"""The public names: all there, imported when they are first used."""

import subprocess
import sys

import suffice


def test_every_public_name_imports() -> None:
    assert suffice.__all__ == sorted(set(suffice.__all__))
    for name in suffice.__all__:
        assert getattr(suffice, name).__module__.startswith("suffice."), name
    assert {"Case", "Verifier", "Proportion", "plan"} <= set(suffice.__all__)
    assert set(suffice.__all__) <= set(dir(suffice))


def test_a_name_that_is_none_is_refused_as_python_does() -> None:
    assert not hasattr(suffice, "verifyer")


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "{'numpy', 'scipy', 'sqlalchemy', 'openfeature', 'pydantic', 'matplotlib'}"
    program = f"import suffice, sys; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
