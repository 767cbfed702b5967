"""The feed of a test: positions given, and what has one."""

from spend import feed
from spend.feed import Entry
from worker.database import transaction


def number() -> None:
    """Positions for all that is committed."""
    more = True
    while more:
        with transaction() as session:
            more = feed.number(session)


def entries(after: int = 0) -> list[Entry]:
    """What has a position, after giving them."""
    number()
    with transaction("spendbeat_reader") as session:
        return feed.page(session, after, 10_000)


def standing() -> feed.Standing:
    with transaction("spendbeat_reader") as session:
        return feed.standing(session)
