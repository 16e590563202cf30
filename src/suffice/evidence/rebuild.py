"""Cases of the ledger, rebuilt so that a fresh process can decide them again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import select

from suffice.errors import DataError, StoreError
from suffice.sources.built import Builder
from suffice.sources.correction import Correction, Estimate
from suffice.sources.recipe import Described, Recipe, of_built, of_correction, of_recorded, with_draws
from suffice.sources.recorded import Unusable
from suffice.store.chain import understood
from suffice.store.database import Store
from suffice.store.decision_row import DecisionRow
from suffice.store.ledger import Ledger
from suffice.store.processes import LENT
from suffice.store.schema import provenance
from suffice.verifier.case import Case

Pair: TypeAlias = tuple[DecisionRow, Recipe]
Rebuild: TypeAlias = Callable[[Sequence[DecisionRow]], list[Pair]]
"""The decisions that can be rebuilt, each with what its case can be made of again."""


def in_turn(ways: Sequence[Rebuild]) -> Rebuild:
    """Rebuild each decision by the first of the ways that can. What was drawn in another language has another stream,
    and is left out."""

    def rebuild(rows: Sequence[DecisionRow]) -> list[Pair]:
        left = [row for row in rows if not (row.process or "").startswith(LENT)]
        pairs: list[Pair] = []
        for way in ways:
            pairs += way(left)
            known = {row.key for row, _ in pairs}
            left = [row for row in left if row.key not in known]
        return pairs

    return rebuild


def from_source(corrections: Iterable[Correction]) -> Rebuild:
    """Rebuild decisions whose keys are those of these corrections."""
    by_key = {correction.key: correction for correction in corrections}
    return lambda rows: [(row, of_correction(by_key[row.key])) for row in rows if row.key in by_key]


def from_builder(rows: Sequence[DecisionRow]) -> list[Pair]:
    """Rebuild any decision, by the service's own builder."""
    return [(row, of_built(row.key, row.target, row.region, features_of(row))) for row in rows]


def from_samples(cases: Iterable[Case | Unusable], n: int) -> Rebuild:
    """Rebuild decisions whose n draws were recorded under their keys, as they were drawn."""

    def rebuild(rows: Sequence[DecisionRow]) -> list[Pair]:
        keys = {row.key for row in rows}
        recipes = {case.key: of_recorded(draws) for case, draws in with_draws(cases, n) if case.key in keys}
        return [(row, recipes[row.key]) for row in rows if row.key in recipes]

    return rebuild


def newest(store: Store, builder: Builder, count: int) -> list[Described]:
    """The cases of a store's newest decisions, to be built again: the newest first, each key once."""
    rows = {row.key: row for row in Ledger(store).newest(count)}
    return [
        Described(row.key, row.target, row.region, recipe, builder) for row, recipe in from_builder(list(rows.values()))
    ]


def features_of(row: DecisionRow) -> dict[str, Any]:
    """The features that a case had. Raises StoreError when they cannot be understood."""
    if row.features is None:
        return {}
    return dict(understood(row.features, f"the features of {row.key}"))


def from_provenance(store: Store) -> Rebuild:
    """Rebuild decisions that `suffice resolve` made, from what it wrote about each correction.

    A record that was derived from others is validated against what was recomputed for it; those are left out.
    """
    return lambda rows: from_source(_written(store, rows))(rows)


def _written(store: Store, rows: Sequence[DecisionRow]) -> list[Correction]:
    c = provenance.c
    keys = [row.key for row in rows]
    query = select(c.correction_key, c.target, c.event, c.payload).where(c.correction_key.in_(keys))
    with store.read() as connection:
        events = connection.execute(query.where(c.event.in_(("classified", "proposed")))).all()
    payloads = {(key, event): understood(payload, f"an event of {key}") for key, _, event, payload in events}
    proposed = {key: payload for (key, event), payload in payloads.items() if event == "proposed"}
    recomputed = {key for key, payload in proposed.items() if payload.get("strategy") == "recompute"}
    return [
        _correction(key, target, payloads[key, event])
        for key, target, event, _ in events
        if event == "classified" and key not in recomputed
    ]


def _correction(key: str, target: str, payload: Mapping[str, Any]) -> Correction:
    try:
        return Correction(key, target, Estimate(*payload["record"]), Estimate(*payload["measurement"]))
    except (DataError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise StoreError(f"an event of {key} in the store lacks or garbles {error}") from error
