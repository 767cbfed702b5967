from sqlalchemy.orm import Session

from spend.pricing import overrides
from spend.pricing.book import PriceBook


class Prices:
    """The newest prices, loaded again when they have changed; one per process."""

    def __init__(self) -> None:
        self._revision: tuple[int, int] | None = None
        self._book = PriceBook()

    def book(self, session: Session) -> PriceBook:
        """Prices as they are known now."""
        revision = overrides.revision(session)
        if revision != self._revision:
            self._book = PriceBook(overrides.load(session))
            self._revision = revision
        return self._book
