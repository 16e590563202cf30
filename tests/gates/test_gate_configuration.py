"""The configuration gate: what cannot be read is an Error that says what is wrong."""

from suffice.errors import ConfigError
from suffice.gates.configuration import unreadable
from suffice.gates.outcome import GateResult, Outcome


def test_a_configuration_that_cannot_be_read_is_an_error_with_its_sentence() -> None:
    result = unreadable(ConfigError("config.json: verifier.rule is 'mode'"))
    assert result == GateResult(
        "configuration", Outcome.ERROR, "config.json: verifier.rule is 'mode'", value=None, limit=None
    )
