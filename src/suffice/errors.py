"""The exception tree and exit codes. Every message is one line that says what is wrong, where, and what is allowed.

SufficeError
├── ConfigError          config.json cannot be read, or holds something that is not allowed
├── DataError            a source, a CSV file or a sampler gave something that cannot be used
├── ExecutionError       workers or a cluster cannot be used, or did not finish their work
├── MissingDataError     there is nothing to judge; the question stays open (exit 3, never success)
├── MissingPackage       a package of an extra is needed and not installed
├── OutputError          a result cannot be written (exit 3)
├── PlanError            an impossible plan was asked for, or a plan does not fit
├── RolloutError         a rollout was asked for something that its phase does not allow
├── RunError             a run was used out of order
└── StoreError           the store cannot be opened, read or written (exit 3)
    ├── StoreAddressError  what was named is no store, or cannot do what is asked of it (exit 2)
    ├── StoreConflict    somebody else changed the same rows first; nothing was written
    ├── StoreRefusal     what was to be written is nothing that the store takes, however often it is tried (exit 2)
    └── StoreTimeout     the store did not answer in time
"""

import errno
from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """What a command ends with. Each has a `sentence` that says what it means."""

    sentence: str

    HOLDS = 0, "It holds, or what was asked for is done."
    FAILS = 2, "It fails, or the input is wrong."
    CANNOT_TELL = 3, "Nobody can tell: data is missing, or something could not be read or written."
    INTERRUPTED = 130, "Somebody interrupted it."

    def __new__(cls, code: int, sentence: str) -> Self:
        member = int.__new__(cls, code)
        member._value_, member.sentence = code, sentence
        return member


_MISNAMED = {errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}
"""Errors of the operating system that say that a caller named the wrong thing."""


class SufficeError(Exception):
    """Base of all errors that a caller can cause."""

    code = ExitCode.FAILS

    @property
    def exit_code(self) -> ExitCode:
        """What the command line ends with: the kind's own `code`, unless it was the operating system that refused.

        Then it is wrong input that was named, or rights, a disk or a device keep us from telling.
        """
        number = self.__cause__.errno if isinstance(self.__cause__, OSError) else None
        if number is None:
            return self.code
        return ExitCode.FAILS if number in _MISNAMED else ExitCode.CANNOT_TELL


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

    code = ExitCode.CANNOT_TELL


class PlanError(SufficeError):
    """A stopping plan is impossible, damaged, or made for something else."""


class RolloutError(SufficeError):
    """A rollout was asked for something that its phase does not allow."""


class RunError(SufficeError):
    """A run was asked for something that its state does not allow."""


class StoreError(SufficeError):
    """The store cannot be opened, read or written."""

    code = ExitCode.CANNOT_TELL


class StoreAddressError(StoreError):
    """What was named is no store, or one that cannot do what is asked of it."""

    code = ExitCode.FAILS


class StoreConflict(StoreError):
    """Somebody else changed the same rows first; nothing was written, and it may be tried again."""


class StoreRefusal(StoreError):
    """What was to be written is nothing that the store takes, however often it is tried; nothing was written."""

    code = ExitCode.FAILS


class StoreTimeout(StoreError):
    """The store did not answer in time, or somebody held its lock all the while; whether it can be asked stays open."""


_SHOWN, _LONGEST_LINE, _ENDLESS = 60, 300, 10**30


def shown(value: object) -> str:
    """A value on one line of a message, and not a long one."""
    if isinstance(value, int) and abs(value) >= _ENDLESS:
        return "a whole number beyond all bounds"
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}…"


def error_line(error: BaseException) -> str:
    """An error's type and the first line of its message, at most 300 printable characters: any log and any store takes
    them. Raises nothing, also where the message cannot be made."""
    kind = type(error).__name__
    try:
        first = str(error).strip().partition("\n")[0]
    except Exception:
        # The message is the error's own code; its type says enough.
        first = ""
    line = f"{kind}: {first}" if first else kind
    return "".join(character if character.isprintable() else "?" for character in line[:_LONGEST_LINE])


def name_shown(name: str, most: int = _SHOWN) -> str:
    """A name from a file, for a message: as it is, where it is on one line and has at most so many characters."""
    return name if name.isprintable() and len(name) <= most else shown(name)
