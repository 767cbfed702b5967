"""Times as they come in files and messages, as microseconds since 1970 UTC.

- With an offset (or Z) a time is what it says; without one it is read in the zone given by the
  caller, and rejected where none is given.
- A local time that happens twice (clocks go back) is the first of the two; one that never
  happens (clocks go forward) is read with the offset before the change, so 02:30 is 03:30.
- Numbers are seconds since 1970, or milliseconds, or microseconds, by their size.
- Digits beyond the microsecond are cut off, not rounded: rounding could move a request into
  the next day.
"""

from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation

from spend.capture.request import Rejected

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - what naive UTC times are counted from
_DAY = 86_400_000_000
_SECOND = 1_000_000
# The first commercial model is younger; anything earlier is another unit or another column.
EARLIEST = int((datetime(2015, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()) * _SECOND
AHEAD = timedelta(days=2 * 365)
_MILLISECONDS = 100_000_000_000  # seconds until the year 5138
_MICROSECONDS = _MILLISECONDS * 1000


class TimeParser:
    """Reads times of one source: its zone, and the latest time it may name."""

    def __init__(self, zone: tzinfo | None = None, *, now: datetime | None = None) -> None:
        self._zone = zone
        self._naive_is_utc = zone is UTC or str(zone) == "UTC"
        self.latest = _since_epoch((now or datetime.now(UTC)) + AHEAD)

    def __call__(self, value: object) -> int:
        """Microseconds since 1970 UTC. Raises Rejected."""
        try:
            if type(value) is str and not value.isdigit():
                found = datetime.fromisoformat(value)
                if found.tzinfo is not None:
                    since = found - _EPOCH
                elif self._naive_is_utc:
                    since = found - _NAIVE_EPOCH
                else:
                    since = self._aware(found) - _EPOCH
                # Spelled out: timedelta's own division takes three times as long.
                moment = since.days * _DAY + since.seconds * _SECOND + since.microseconds
            else:
                moment = self._other(value)
        except ValueError:
            moment = self._other(value)
        if EARLIEST <= moment <= self.latest:
            return moment
        raise Rejected(_out_of_range(moment))

    def _aware(self, found: datetime) -> datetime:
        if found.tzinfo is not None:
            return found
        if self._zone is None:
            raise Rejected("started_at has no UTC offset (a file may name its zone: --timezone)")
        return found.replace(tzinfo=self._zone)

    def _other(self, value: object) -> int:
        """Everything that is not plain ISO 8601 text."""
        if type(value) is int and value >= _MICROSECONDS:
            return value
        if isinstance(value, datetime):
            return _since_epoch(self._aware(value))
        if isinstance(value, date):
            midnight = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - read in the zone
            return _since_epoch(self._aware(midnight))
        if value is None or value == "":
            raise Rejected("started_at is missing")
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            raise Rejected(f"started_at is not a time: {value!r:.40}")
        try:
            return _number(Decimal(str(value).strip()))
        except InvalidOperation:
            pass
        text = str(value).strip()
        if text.endswith((" UTC", " GMT")):
            text = text[:-4] + "+00:00"
        try:
            return _since_epoch(self._aware(datetime.fromisoformat(text)))
        except ValueError:
            raise Rejected(f"started_at is not a time: {text!r:.40}") from None


def _since_epoch(moment: datetime) -> int:
    since = moment - _EPOCH
    return since.days * _DAY + since.seconds * _SECOND + since.microseconds


def _number(value: Decimal) -> int:
    if not value.is_finite() or value.adjusted() > 20:  # noqa: PLR2004 - no clock counts so far
        raise Rejected("started_at is not a time")
    if abs(value) >= _MICROSECONDS:
        return int(value)
    if abs(value) >= _MILLISECONDS:
        return int(value.scaleb(3))
    return int(value.scaleb(6))


def _out_of_range(moment: int) -> str:
    if moment < EARLIEST:
        return "started_at is before 2015"
    return "started_at is more than two years ahead"
