"""What the ledger knows of a request's cost besides our prices, and what it should cost: pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from spend.entries import Entry
from spend.pricing import PriceBook
from spend.pricing.booking import Booked, Costs, decide
from spend.pricing.origin import FAILED, Origin

REPRICE = "reprice"
UNDO = "reprice-undo"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def costs(entry: Entry, origins: Mapping[int, Origin]) -> Costs:
    """What was said about an entry's cost, by its row or by a later correction.

    origins: of its price versions. A cost that somebody gave is final, so it is what the entry
    comes to by now; that of a gateway or provider is what it was when they said it last.
    """
    gateway, provider, given = entry.gateway, entry.provider_said, False
    pico, unpriced = 0, 0
    own = entry.version, entry.booked or 0, int(entry.booked is None)
    for version, change, more_unpriced in (own, *entry.changes):
        pico += change
        unpriced += more_unpriced
        cost = None if unpriced > 0 else pico
        origin = origins[version]
        if origin.source == "given" and not origin.assumption.startswith(FAILED.assumption):
            given = cost is not None
        elif origin.source == "gateway":
            gateway = cost
        elif origin.source == "provider":
            provider = cost
    return Costs(entry.net if given else None, gateway, provider)


def should_cost(book: PriceBook, entry: Entry, said: Costs) -> Booked:
    """What an entry is booked at by the rule of capture and the prices of a book."""
    return decide(
        book,
        entry.provider,
        entry.model,
        (entry.started_at - _EPOCH) // _MICROSECOND,
        entry.usage,
        status=entry.status,
        tier=entry.tier,
        costs=said,
    )


def says_nothing(entry: Entry, origins: Mapping[int, Origin]) -> bool:
    """True for a row that somebody inserted without tokens and cost: there is nothing to price."""
    return (
        entry.booked is None and not any(entry.usage) and origins[entry.version].source == "given"
    )


def corrected(run: int, origin: Origin) -> Origin:
    """Where the cost is from that a run gives a request: the run, by the price of an origin."""
    return Origin(REPRICE, str(run), " ".join(part for part in origin if part))
