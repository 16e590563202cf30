"""The examples run as a reader would run them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_asyncio_example_decides_early() -> None:
    command = [sys.executable, str(ROOT / "examples" / "asyncio_window.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    words = done.stdout.split()
    assert words[:2] == ["accepted", "after"]
    assert 1 <= int(words[2]) < 100
