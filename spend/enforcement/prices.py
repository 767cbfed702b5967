"""Prices as guards get them: what booking would use from now on, as text.

    {"segments": [{"until": microseconds since 1970 or null, "source": "override 12",
                   "daily": [{"from": microseconds since midnight, "tiers": [...] or null}]}]}

Segments follow each other; tiers are as they are stored (spend/pricing/tiers.py), null is unpriced.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import SpendSummary
from spend.pricing import Price, PriceBook, tiers
from spend.pricing.newest import Prices
from spend.pricing.origin import Origin
from spend.pricing.tariff import EVER, Segment, Tariff

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000
# What ended longer ago than this many days is left out; a whole one, so that texts seldom change.
_PAST = 1


class Publisher:
    """The texts of many models, each made once until prices change or a day passes."""

    def __init__(self) -> None:
        self._prices = Prices()
        self._made_with: tuple[PriceBook, int] | None = None
        self._texts: dict[str, str] = {}

    def texts(self, session: Session, names: Iterable[str], now: datetime) -> dict[str, str]:
        """What guards get to know of models, each named "provider/model"."""
        book, since = self._prices.book(session), _since(now)
        if self._made_with != (book, since):
            self._made_with, self._texts = (book, since), {}
        return {name: self._text(book, name, since) for name in names}

    def _text(self, book: PriceBook, name: str, since: int) -> str:
        found = self._texts.get(name)
        if found is None:
            provider, _, model = name.partition("/")
            found = self._texts[name] = text_of(book.tariff(provider, model), since)
        return found


def seen(session: Session) -> set[str]:
    """The models of the ledger, as "provider/model"."""
    rows = session.execute(select(SpendSummary.provider, SpendSummary.model))
    return {f"{provider}/{model}" for provider, model in rows}


def text_of(tariff: Tariff, since: int) -> str:
    """A model's prices from a moment on (microseconds since 1970)."""
    segments = [_segment(one) for one in tariff.segments if one.end > since]
    return json.dumps({"segments": segments}, separators=(",", ":"))


def _since(now: datetime) -> int:
    moment = (now - timedelta(days=_PAST) - _EPOCH) // timedelta(microseconds=1)
    return moment - moment % _DAY


def _segment(segment: Segment) -> dict[str, object]:
    daily = segment.daily
    return {
        "until": None if segment.end == EVER else segment.end,
        "source": _source(segment.origin),
        "daily": [
            {"from": hour, "tiers": None if price is None else _tiers(price)}
            for hour, price in zip(daily.hours, daily.prices, strict=True)
        ],
    }


def _tiers(price: Price) -> list[dict[str, object]]:
    return tiers.to_json(price.tiers)


def _source(origin: Origin) -> str:
    return " ".join(part for part in origin if part)
