"""The flag's client where it takes seconds: slow looks at the file, and processes that shut down or log."""

import os
import subprocess
import sys
import time

import pytest
from flag_waiting import EVERYBODY, POLL_MS, becomes

from suffice.flag.client import FlagClient
from suffice.flag.document import to_text
from suffice.flag.file import publish
from suffice.verifier.arm import Arm


@pytest.fixture
def path(tmp_path):
    return tmp_path / "flag.json"


def test_a_publication_during_the_start_is_not_lost(path):
    """The provider reads the file, then its time: here the file changes in between, seen from the first poll."""
    path.write_text(to_text(EVERYBODY))
    os.utime(path, ns=(10**18, 10**18))
    with FlagClient.from_file(path, poll_ms=1_500) as client:
        path.write_text(to_text(None))
        os.utime(path, ns=(10**18, 10**18))
        assert becomes(client, Arm.FIXED)


def test_the_trap_an_equal_time_is_never_seen(path):
    """Why `publish` insists on a newer time."""
    publish(path, EVERYBODY)
    with FlagClient.from_file(path, poll_ms=POLL_MS) as client:
        seen = publish(path, None)
        assert becomes(client, Arm.FIXED)
        time.sleep(10 * POLL_MS / 1_000)
        path.write_text(to_text(EVERYBODY))
        os.utime(path, ns=(seen.mtime_ns, seen.mtime_ns))
        time.sleep(10 * POLL_MS / 1_000)
        assert client.arm("pump-1") is Arm.FIXED


SHUT_DOWN = """
import sys
from pathlib import Path
from openfeature import api
from suffice.flag.client import FlagClient
client = FlagClient.from_file(Path(sys.argv[1]))
print(client.arm("pump-1"))
api.shutdown()
print(client.arm("pump-1"))
client.close()
"""


def test_the_host_application_shutting_openfeature_down_leaves_fixed(path):
    publish(path, EVERYBODY)
    done = subprocess.run([sys.executable, "-c", SHUT_DOWN, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["adaptive", "fixed"]


MISSING = """
import sys, time
from pathlib import Path
from suffice.flag.client import FlagClient
with FlagClient.from_file(Path(sys.argv[1]), poll_ms=10) as client:
    time.sleep(0.2)
"""


def test_a_missing_file_prints_no_tracebacks(path):
    done = subprocess.run([sys.executable, "-c", MISSING, str(path)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


LOGGED = "import logging\nlogging.basicConfig(level=logging.ERROR)\n" + MISSING


def test_a_host_application_that_logs_gets_the_error_once(path):
    done = subprocess.run([sys.executable, "-c", LOGGED, str(path)], capture_output=True, text=True, check=True)
    assert done.stderr.count("Provided file path not valid") == 1
