"""A process that counts a ledger again and again until it is killed."""

from multiprocessing.synchronize import Event

from ledger_rows import chance

from store_places import Place
from suffice.evidence.reader import EvidenceReader
from suffice.resolution.storm import StormPolicy
from suffice.store.database import open_store
from suffice.store.ledger import Ledger


def count_on(place: Place, begun: Event) -> None:
    while True:
        with open_store(place) as store:
            begun.set()
            EvidenceReader(Ledger(store), "r", StormPolicy(2), portion=7, chance=chance).catch_up()
