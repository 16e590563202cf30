"""The word that a rollout's state calls for, and what the store says of the one that it has."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from suffice.config import RolloutConfig
from suffice.errors import DataError, StoreError
from suffice.flag.document import Exposure, in_words
from suffice.flag.evaluation import exposure_of
from suffice.rollout.controller import State
from suffice.rollout.phases import Phase
from suffice.serving.situation import Salts
from suffice.store.note import Note, read_note, write_note
from suffice.store.rollouts import StoredRollout
from suffice.store.words import NO_WORD, Word, WordRead, read_word, write_word

LEAST_SECONDS = 60.0
"""A word stands at least so long, and so much longer than `lapse_cycles`: a cycle may be late."""


def length_of(rollout: RolloutConfig) -> float:
    """For how many seconds a word stands after each renewal: without a runner everybody is fixed then."""
    return max(rollout.lapse_cycles * rollout.cycle_seconds, LEAST_SECONDS) + LEAST_SECONDS


def word_of(stored: StoredRollout, state: State, salt: str) -> Word:
    """The word of a rollout in this state; the one of a state that is not in force is the baseline."""
    stage = state.current if state.in_force else None
    return Word(
        service=stored.service,
        rollout=stored.id,
        plan_id=str(stored.config.get("plan", "")),
        phase=state.phase.value,
        stage=stage.name if stage else "",
        exposure=_plain(state.exposure(salt)),
        audit_fraction=stage.audit_fraction if stage else 0.0,
        audit_salt=Salts.of(stored.id).audit,
        shadow=stage is not None and stage.shadow,
        length=None if state.phase is Phase.RELEASED else length_of(state.rollout),
    )


def store_word(connection: Connection, folder: Path, word: Word, now: float) -> WordRead:
    """Write a word in the caller's write transaction, above whatever this folder has seen; returns it as it stands.

    Raises StoreError, DataError.
    """
    write_word(connection, word, now, at_least=read_note(folder).epoch)
    return read_word(connection, word.service, now)


def note_word(folder: Path, read: WordRead) -> None:
    """Remember the word that was committed, on the disk: a store below it is an older copy. Raises OutputError."""
    note, standing = read_note(folder), read.standing
    if read.word is None or standing.incarnation is None:
        return
    raised = note.raised(standing.incarnation, read.word.epoch, standing.position)
    raised = replace(raised, released=read.word.length is None)
    # The position moves with every write of anybody: it goes along with what is noted for another reason.
    if replace(raised, position=note.position) != note:
        write_note(folder, raised)


def why_foreign(read: WordRead, note: Note) -> str | None:
    """Why the store is another one than this folder has known, or its word none; None when it is the same.

    Raises StoreError when a replica answered, of which nothing follows.
    """
    standing, word = read.standing, read.word
    if not standing.primary:
        raise StoreError(read.obstacle)
    if read.damaged:
        return read.obstacle
    if word is None:
        return f"the store has no word, but this host has seen epoch {note.epoch} there" if note.epoch else None
    if read.obstacle:
        return read.obstacle
    if note.is_above(standing.incarnation, word.epoch, standing.position):
        return f"the store is at epoch {word.epoch}, but this host has seen epoch {note.epoch}: it is an older copy"
    return None


def permission(read: WordRead) -> tuple[str, float | None]:
    """Who may be adaptive in a rollout by this read, in one sentence, and until when by the store's clock (None:
    nobody, or as long as the word stands)."""
    word = read.word
    if read.obstacle == NO_WORD:
        return f"nobody: {NO_WORD} yet; the next cycle writes it", None
    if word is None or not read.counts:
        return f"nobody: {read.obstacle}", None
    if word.exposure is None:
        return f"nobody: the word says the baseline ({word.phase})", None
    try:
        who = in_words(exposure_of(word.exposure))
    except DataError as error:
        return f"nobody: {error}", None
    if word.length is None:
        return f"{who}, without a runner: it was released", None
    if not read.remaining:
        return f"nobody: no cycle has renewed the word for {word.length:,.0f} s; is a runner at work?", None
    return who, read.standing.at + read.remaining


def _plain(exposure: Exposure | None) -> dict[str, Any] | None:
    return None if exposure is None else {**asdict(exposure), "regions": list(exposure.regions)}
