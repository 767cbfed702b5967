"""What must be there before a batch goes in: partitions, and ids of attributions and prices."""

from datetime import timedelta

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from spend import attributions, partitions
from spend.attributions import Mix
from spend.capture.request import EPOCH
from spend.pricing import Origin
from spend.pricing.versions import resolve

_CACHED_MIXES = 1 << 17


class _Versions(dict[Origin, int]):
    """Ids of price origins: an import meets a handful, and asks for each of them once."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def __missing__(self, origin: Origin) -> int:
        with Session(self._engine) as session, session.begin():
            self.update(resolve(session, [origin]))
        return self[origin]


class Dimensions:
    """Makes what is missing in short transactions of its own, before the batch's begins.

    So a batch never holds a lock that another importer needs for its dimensions.
    """

    def __init__(self, engine: Engine) -> None:
        self.attributions: dict[Mix, int] = {}
        self.versions: dict[Origin, int] = _Versions(engine)
        self._days: set[int] = set()
        self._engine = engine

    def prepare(self, mixes: set[Mix], days: set[int]) -> None:
        """Make sure that requests of these mixes and days (since 1970) can be staged and booked."""
        if len(self.attributions) + len(mixes) > _CACHED_MIXES:
            self.attributions.clear()
        if new := mixes - self.attributions.keys():
            with Session(self._engine) as session, session.begin():
                self.attributions.update(attributions.resolve(session, new))
        if new_days := days - self._days:
            with Session(self._engine) as session, session.begin():
                partitions.ensure(session, (EPOCH + timedelta(days=day) for day in new_days))
            self._days |= new_days
