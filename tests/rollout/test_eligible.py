"""Cases that are never to be adaptive, through a whole rollout on each database."""

from dataclasses import replace
from pathlib import Path

from production import Production, corrections, producing, situation_in

from store_places import Place
from suffice.rollout.phases import Phase
from suffice.store.decision_row import WhyFixed
from suffice.store.ledger import Ledger


def traffic(production: Production, count: int = 400) -> None:
    """Of each three targets two are never to be adaptive."""
    with production.process(situation_in(production.store)) as verifier:
        for number, correction in enumerate(corrections(production.sent, count), production.sent):
            verifier.verify(replace(correction.case(), eligible=number % 500 % 3 == 0))
    production.sent += count


def test_ineligible_targets_are_fixed_unaudited_and_no_part_of_the_arms_share(tmp_path: Path, place: Place) -> None:
    with producing(tmp_path, url=place if isinstance(place, str) else None) as production:
        while production.state.phase is Phase.PROGRESSING:
            assert production.sent <= 3_200, production.state.why
            traffic(production)
            production.cycle()
        assert production.state.phase is Phase.COMPLETED
        rows = Ledger(production.store).rows(production.operator.current.id)
        ineligible = [row for row in rows if int(row.target[1:]) % 3]
        assert {(row.arm.value, row.why_fixed, row.is_audit, row.stopping_n) for row in ineligible} == {
            ("fixed", WhyFixed.INELIGIBLE, False, None)
        }
        assert WhyFixed.INELIGIBLE not in {row.why_fixed for row in rows if not int(row.target[1:]) % 3}
        judged = next(event for event in production.operator.history() if event.numbers.get("stage") == "canary")
        evidence = judged.numbers["evidence"]
        of_canary = [row for row in rows if row.stage == "canary" and row.region == "eu"]
        arms = evidence["adaptive_targets"] + evidence["fixed_targets"]
        assert arms <= len({row.target for row in of_canary if not int(row.target[1:]) % 3})
        assert evidence["ineligible"] > evidence["decisions"] / 2
