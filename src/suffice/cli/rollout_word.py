"""`suffice rollout word`: the word, for a service in another language."""

import json as json_text
import os
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.cli.rollout_options import ServiceOptions
from suffice.errors import ExitCode, RolloutError, StoreError
from suffice.terminal import print_lines

if TYPE_CHECKING:
    from suffice.serving.lent_word import LentWord


def word(
    *,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Tell it at once when it changes, and every second, until the reader is gone."),
    ] = False,
    where: ServiceOptions,
    json: options.Json = False,
) -> Answer | ExitCode:
    """Say who may be adaptive, to a service in another language, and for how long it may act on that.

    A lease counts from the moment the store was asked. A rollback's receipt waits for every lease that was given out.
    Exits 0 when there is a word, whether or not it permits anything, and 3 when none is known: then all are fixed.

    Example: suffice rollout word --follow --json
    """
    from suffice.cli.signals import told_to_end
    from suffice.config import load
    from suffice.serving.lent_word import Lender
    from suffice.serving.situation import check_service

    check_service(where.service)
    enabled = load(where.config or options.CONFIG).verifier.adaptive_sampling.enabled
    # One that does not answer is an answer of its own; a store that is not there is a mistake in an option.
    with suppress(StoreError):
        where.existing().close()
    with closing(Lender(where.address, where.service, where.queue, enabled=enabled)) as lender:
        if not follow:
            lent = lender.ask()
            code = ExitCode.HOLDS if lent.is_known else ExitCode.CANNOT_TELL
            return Answer(lent.plain, lambda: print_lines(_sentence(lent)), code)
        if not lender.is_shared:
            raise RolloutError("--follow needs a clock that other processes can read, as Linux has; ask without it")
        with told_to_end() as stop:
            try:
                for lent in lender.follow(stop):
                    sys.stdout.write((json_text.dumps(lent.plain) if json else _sentence(lent)) + "\n")
                    sys.stdout.flush()
            except BrokenPipeError:
                # Whoever read it is gone; nor is there anybody for what is still to be written.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.HOLDS


def _sentence(lent: "LentWord") -> str:
    from suffice.flag.document import in_words
    from suffice.flag.evaluation import exposure_of

    who = in_words(exposure_of(lent.exposure)) if lent.exposure else f"nobody: {lent.why}"
    named = f"{lent.rollout}: epoch {lent.epoch}: " if lent.rollout else ""
    return f"{named}{who}; {lent.remaining_s:.1f} s from the moment it was asked"
