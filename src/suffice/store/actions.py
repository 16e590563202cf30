"""What people and the machine do to a rollout, as the journal tells it."""

from enum import StrEnum


class Action(StrEnum):
    """An action of the journal; the value is its text in the store and for people.

    A text that is none of these was written by another version: it is read as it stands, and equals nothing here.
    """

    START = "start"
    JUDGE = "judge"
    """A cycle passed, with the answer of every gate."""
    ADVANCE = "advance"
    PAUSE = "pause"
    AWAIT = "await approval"
    APPROVE = "approve"
    """A person lets a stage end that has passed and needs approval."""
    RESUME = "resume"
    COMPLETE = "complete"
    UNWELL = "unwell"
    """A completed rollout has not been well for longer than a stage may stand still."""
    ROLL_BACK = "roll back"
    NOT_OBSERVED = "not observed"
    """The baseline was not seen, or could not even be published."""
    OBSERVED = "observed"
    RECEIPT = "receipt"
    TRIAGE = "triage"
    SETTLE = "settle"
    """Everything that follows a rollback was done."""
    REOPEN = "reopen"
    """A decision was adaptive after the receipt."""
    HOLD_BACK = "hold back"
    """The store is of another incarnation: the baseline was written before anything else."""
    RELEASE = "release"
    """A person let the rollout stand without a runner."""
    OLD_PRIMARY_GONE = "old primary gone"
    """A person said that the primary of the old incarnation is gone."""
    REPAIR = "repair"
    """The flag file did not say the baseline after a rollback, and was published again."""
    CLOSE = "close"
    """A person closed the triage item."""

    @classmethod
    def _missing_(cls, value: object) -> "Action | None":
        if not isinstance(value, str):
            return None
        foreign = str.__new__(cls, value)
        foreign._name_ = foreign._value_ = value
        return foreign
