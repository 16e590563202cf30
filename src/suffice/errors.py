"""The exception tree and exit codes. Every message is one line that says what is wrong, where, and what is allowed.

SufficeError
├── ConfigError          config.json cannot be read, or holds something that is not allowed
├── DataError            a source, a CSV file or a sampler gave something that cannot be used
├── ExecutionError       workers or a cluster cannot be used, or did not finish their work
├── MissingDataError     there is nothing to judge; the question stays open (exit 3, never success)
├── MissingPackage       a package of an extra is needed and not installed
├── OutputError          a result cannot be written
├── PlanError            an impossible plan was asked for, or a plan does not fit
├── RolloutError         a rollout was asked for something that its phase does not allow
├── RunError             a run was used out of order
└── StoreError           the store cannot be opened, read or written
    ├── StoreConflict    somebody else changed the same rows first; nothing was written
    ├── StoreRefusal     what was to be written is nothing that the store takes, however often it is tried
    └── StoreTimeout     the store did not answer in time; the question stays open (exit 3)
"""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """What a command ends with. Each has a `sentence` that says what it means."""

    sentence: str

    HOLDS = 0, "It holds, or what was asked for is done."
    FAILS = 2, "It fails, or the input is wrong."
    CANNOT_TELL = 3, "Nobody can tell: data is missing, or cannot be read."
    INTERRUPTED = 130, "Somebody interrupted it."

    def __new__(cls, code: int, sentence: str) -> Self:
        member = int.__new__(cls, code)
        member._value_, member.sentence = code, sentence
        return member


class SufficeError(Exception):
    """Base of all errors that a caller can cause; `exit_code` is what the command line ends with."""

    exit_code = ExitCode.FAILS


class ConfigError(SufficeError):
    """The configuration is not usable."""


class DataError(SufficeError):
    """Input data is not usable."""


class ExecutionError(SufficeError):
    """Workers or a cluster cannot be used, or did not finish their work."""


class MissingDataError(SufficeError):
    """The data that an answer needs is not there."""

    exit_code = ExitCode.CANNOT_TELL


class MissingPackage(SufficeError):
    """A package of an extra is needed and not installed; the message names both."""


class OutputError(SufficeError):
    """A result cannot be written."""


class PlanError(SufficeError):
    """A stopping plan is impossible, damaged, or made for something else."""


class RolloutError(SufficeError):
    """A rollout was asked for something that its phase does not allow."""


class RunError(SufficeError):
    """A run was asked for something that its state does not allow."""


class StoreError(SufficeError):
    """The store cannot be opened, read or written."""


class StoreConflict(StoreError):
    """Somebody else changed the same rows first; nothing was written, and it may be tried again."""


class StoreRefusal(StoreError):
    """What was to be written is nothing that the store takes, however often it is tried; nothing was written."""


class StoreTimeout(StoreError):
    """The store did not answer in time, or somebody held its lock all the while; whether it can be asked stays open."""

    exit_code = ExitCode.CANNOT_TELL
