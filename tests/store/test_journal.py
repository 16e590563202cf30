"""The journal: its actions are an enum whose values are the texts that stores have had from the first version on."""

import json
from pathlib import Path

from store_places import Place
from suffice.store.actions import Action
from suffice.store.database import open_store
from suffice.store.journal import JournalEvent, append_journal, journal_of, last_event, verify_journal

TEXTS = [
    *("start", "judge", "advance", "pause", "await approval", "approve", "resume", "complete"),
    *(
        "unwell",
        "roll back",
        "not observed",
        "observed",
        "receipt",
        "triage",
        "settle",
        "reopen",
        "hold back",
        "release",
        "old primary gone",
        "repair",
        "close",
    ),
]


def test_the_values_are_the_texts_of_old_stores() -> None:
    assert [action.value for action in Action] == TEXTS


def test_every_action_is_stored_as_its_text_and_read_as_itself(place: Place) -> None:
    events = [JournalEvent(float(at), "r", "ann", action, "why") for at, action in enumerate(Action)]
    with open_store(place) as store:
        with store.write() as connection:
            append_journal(connection, events)
        with store.read() as connection:
            texts = connection.exec_driver_sql("SELECT action FROM audit_events ORDER BY seq").scalars().all()
            read = journal_of(connection, "r")
            assert last_event(connection, "r", Action.ROLL_BACK) == events[TEXTS.index("roll back")]
            assert verify_journal(connection).intact
    assert texts == TEXTS
    assert read == events
    assert all(event.action is action for event, action in zip(read, Action, strict=True))


def test_the_action_of_another_version_is_shown_as_its_text(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store:
        with store.write() as connection:
            append_journal(connection, [JournalEvent(1.0, "r", "ann", Action.START, "why")])
            connection.exec_driver_sql("UPDATE audit_events SET action = 'hand over'")
        with store.read() as connection:
            (event,) = journal_of(connection, "r")
    assert event.action not in list(Action)
    assert (f"{event.action}", json.dumps(event.action)) == ("hand over", '"hand over"')
