"""The prices of one model over time, put together from every source: a pure decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from spend.pricing.library import ORIGIN as LIBRARY
from spend.pricing.library import Daily, LibraryModel
from spend.pricing.local import is_local
from spend.pricing.origin import BEFORE_FIRST_PRICE, LOCAL, UNPRICED, Origin
from spend.pricing.overrides import Override
from spend.pricing.rates import FREE, Price, Tier

EVER = 1 << 62  # microseconds since 1970: later than any time
_FREE = Daily((0,), (Price([Tier(0, FREE)]),))
_NONE = Daily((0,), (None,))


@dataclass(frozen=True, slots=True)
class Segment:
    """The price from `start` until just before `end` (microseconds since 1970)."""

    start: int
    end: int
    origin: Origin
    daily: Daily
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class Tariff:
    """All prices of one provider's model: segments that follow each other without a gap."""

    provider: str
    model: str
    segments: tuple[Segment, ...]
    # The price and its origin where they never change, which is so for nine models of ten.
    flat: tuple[Price | None, Origin] | None

    def at(self, moment: int) -> Segment:
        """The segment that a moment falls in."""
        for segment in self.segments:
            if moment < segment.end:
                return segment
        return self.segments[-1]


def build(
    provider: str, model: str, overrides: Sequence[Override], library: LibraryModel | None
) -> Tariff:
    """Put the sources of one model together; of two prices of one kind the later made wins."""
    own = sorted(
        (o for o in overrides if o.names(provider, model) and not o.withdrawn),
        key=lambda o: (o.list != "", -o.id),
    )
    edges = {-EVER, EVER}
    for override in own:
        edges |= {override.start, EVER if override.end is None else override.end}
    if library is not None:
        edges |= set(library.starts)
    cuts = sorted(edges)
    segments = [_segment(start, end, provider, own, library) for start, end in pairwise(cuts)]
    first = segments[0]
    flat = None
    if len(segments) == 1 and len(first.daily.prices) == 1:
        flat = first.daily.prices[0], first.origin
    return Tariff(provider, model, tuple(segments), flat)


def _segment(
    start: int, end: int, provider: str, own: Sequence[Override], library: LibraryModel | None
) -> Segment:
    # Prices of one's own come first in `own`, those of lists after them.
    for override in own:
        if override.start <= start and (override.end is None or end <= override.end):
            return _overridden(start, end, override, "")
    if is_local(provider):
        return Segment(start, end, LOCAL, _FREE)
    if library is not None:
        # Any moment inside will do, but one that datetime can express.
        daily = library.prices_on(start if start != -EVER else min(end, 0) - 1)
        if any(price is not None for price in daily.prices):
            return Segment(start, end, LIBRARY, daily)
    later = [override for override in own if override.start >= end]
    if later:
        first = min(later, key=lambda o: (o.list != "", o.start))
        return _overridden(start, end, first, BEFORE_FIRST_PRICE)
    return Segment(start, end, UNPRICED, _NONE)


def _overridden(start: int, end: int, override: Override, assumption: str) -> Segment:
    origin = Origin("list" if override.list else "override", str(override.id), assumption)
    return Segment(start, end, origin, Daily((0,), (override.price(),)), override)
