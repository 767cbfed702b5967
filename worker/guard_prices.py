"""Prices for guards, from Postgres into Redis."""

import threading
from collections.abc import Collection
from datetime import UTC, datetime

from redis import Redis
from spendbeat_gateway.guard.prices import LONGEST_NAME, publish_prices, published, withdraw
from sqlalchemy.orm import Session

from spend.enforcement import prices

# Models that somebody asked for and the ledger does not know: beyond so many all are forgotten, and
# asked for again where they are needed. Whoever calls a guard may name any model.
MOST_ASKED = 2_000
_publisher = prices.Publisher()
_lock = threading.Lock()


def publish(redis: Redis, session: Session) -> int:
    """Bring the prices of all models that are in the ledger, or in Redis already, up to date.

    How many were new or have changed. Nothing where no guard has ever asked for a price: price
    lists take 70 MB of a worker.
    """
    there = published(redis)
    if not there:
        return 0
    seen = prices.seen(session)
    asked = there - seen
    if len(asked) > MOST_ASKED:
        withdraw(redis, asked)
        asked = set()
    return _publish(redis, session, seen | asked)


def publish_wanted(redis: Redis, session: Session, names: Collection[str]) -> int:
    """Publish models that guards miss ("provider/model"), whether they have a price or not."""
    fit = {name for name in names if "/" in name and len(name) <= LONGEST_NAME}
    return _publish(redis, session, fit)


def _publish(redis: Redis, session: Session, names: Collection[str]) -> int:
    if not names:
        return 0
    with _lock:
        texts = _publisher.texts(session, names, datetime.now(UTC))
    return publish_prices(redis, texts)
