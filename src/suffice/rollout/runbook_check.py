"""The check that each rollout has unless its configuration says otherwise: the runbook's, beside its cycles."""

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suffice.config import ChecksConfig
from suffice.errors import ExitCode
from suffice.rollout.command_checks import Check, Commands
from suffice.rollout.world import World
from suffice.runbook import production
from suffice.store.address import STORE_URL

GATE = "runbook"


def commands(world: World, folder: Path, about: Mapping[str, Any], section: ChecksConfig) -> Commands:
    """The checks of a rollout, whose outputs are kept in `folder`: the runbook's, and those that it was started with.

    One of these that has the runbook's name takes its place. A rollout that an earlier version started goes on as it
    was: without the runbook's. `about` is what it was started with, `section` what its configuration says.
    """
    checks = [Check(**check) for check in about["checks"]]
    if section.run and "checks" in about["config"]["rollout"] and GATE not in [check.name for check in checks]:
        checks.insert(0, _runbook(world, folder, section))
    # What is in the environment is seen by no other user, as a command line is; the URL may hold a password.
    url = world.place.url
    return Commands(checks, folder, world.clock, {STORE_URL: url} if url else {})


def _runbook(world: World, folder: Path, section: ChecksConfig) -> Check:
    place = world.place
    words = production.command(folder.absolute(), place.config.absolute(), place.queue.absolute(), place.service)
    line = [*words, *section.run]
    return Check(
        GATE,
        shlex.join(line) if os.name == "posix" else subprocess.list2cmdline(line),
        section.every.total_seconds(),
        section.deadline.total_seconds(),
        "the runbook's checks",
        tuple(ExitCode),
    )
