"""Requests of one batch, given their identity and price and encoded for COPY."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from spend.attributions import Mix
from spend.capture import identity
from spend.capture.occurrences import Occurrences
from spend.capture.request import EPOCH, Request
from spend.pricing import Origin, PriceBook

# NULL is nothing at all between two tabs, since no text of a request is empty.
LEDGER = (
    "COPY cost_logs (id, started_at, attribution_id, price_version_id, cost_usd,"
    " input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,"
    " reasoning_tokens, audio_input_tokens, audio_output_tokens, provider, model, status,"
    " request_id, trace_id, session_id, end_user) FROM STDIN WITH (NULL '')"
)
KEYS = "COPY staged_keys (line, digest, started_at, key) FROM STDIN"
_TABS = 14  # between the columns of `says`, unless a text has one itself
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_MINUTE = 60_000_000
_CACHED_MINUTES = 100_000
# Routes may round a time, but not by more.
CLOSE_US = 2_000_000

OTHER_CONTENT = "this id is known with other content"
OTHER_TIME = "this id is known with another time"


@dataclass(frozen=True, slots=True)
class Conflict:
    """The index in its batch of a request whose id is known for something else, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows with distinct keys, ready for COPY; and what was found out on the way."""

    keys: list[str]  # lines of staged_keys
    rows: list[str]  # lines of cost_logs, without their ids
    indexes: list[int]  # where each of them stood among the requests
    unpriced: list[int]  # which of them have no price
    known: int
    conflicts: tuple[Conflict, ...]


class Stager:
    """Gives requests their key, digest and price; remembers what it must over all batches."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._occurrences = Occurrences()
        self._minutes: dict[int, str] = {}

    def stage(
        self,
        requests: Sequence[Request],
        attributions: Mapping[Mix, int],
        versions: Mapping[Origin, int],
    ) -> Batch:
        """Encode a batch; equal keys within it are settled here, so that keys are distinct."""
        # Names looked up once: this loop and Normaliser.row() are where an import's time goes.
        price, minutes = self._book.price, self._minutes
        key_of, counts, digest_of = identity.key_of_id, identity.counts, identity.digest_of
        seen: dict[bytes, tuple[int, int]] = {}
        batch = Batch([], [], [], [], 0, ())
        keys, rows, indexes = batch.keys, batch.rows, batch.indexes
        repeated: list[Conflict | None] = []
        for index, request in enumerate(requests):
            id_, started, provider, model, usage, given, status, trace, session, end_user, mix = (
                request
            )
            key = key_of(id_) if id_ is not None else self._anonymous(request)
            says = f"{counts(usage)}\t{provider}\t{model}\t{status}"
            digest = digest_of(says, given)
            if key in seen:
                repeated.append(_compare(index, (digest, started), seen[key]))
                continue
            seen[key] = digest, started
            pico, origin = price(provider, model, started, usage, status=status, given=given)
            if pico is None:
                batch.unpriced.append(len(rows))
                cost = ""
            else:
                cost = f"{pico}e-12"
            minute, rest = divmod(started, _MINUTE)
            at = minutes.get(minute) or self._minute(minute)
            at = f"{at}{rest // 1_000_000:02}.{rest % 1_000_000:06}+00"
            says = f"{says}\t{id_ or ''}\t{trace or ''}\t{session or ''}\t{end_user or ''}"
            if "\\" in says or "\n" in says or "\r" in says or says.count("\t") != _TABS:
                says = _escaped(request)
            keys.append(f"{len(rows)}\t{digest}\t{at}\t{key.hex()}")
            rows.append(f"{at}\t{attributions[mix]}\t{versions[origin]}\t{cost}\t{says}")
            indexes.append(index)
        conflicts = tuple(conflict for conflict in repeated if conflict)
        return replace(batch, known=len(repeated) - len(conflicts), conflicts=conflicts)

    def _anonymous(self, request: Request) -> bytes:
        content = identity.content(request)
        return identity.numbered(content, self._occurrences.next(content))

    def _minute(self, minute: int) -> str:
        if len(self._minutes) > _CACHED_MINUTES:
            self._minutes.clear()
        text = (EPOCH + timedelta(minutes=minute)).strftime("%Y-%m-%d %H:%M:")
        self._minutes[minute] = text
        return text


def _compare(index: int, found: tuple[int, int], first: tuple[int, int]) -> Conflict | None:
    """How a request differs from the one that has its key: (digest, started_us) of both."""
    if found[0] != first[0]:
        return Conflict(index, OTHER_CONTENT)
    if abs(found[1] - first[1]) > CLOSE_US:
        return Conflict(index, OTHER_TIME)
    return None


def _escaped(request: Request) -> str:
    """The columns from input_tokens on, where a text holds what COPY reads as a sign."""
    texts = (request[2], request[3], request[6], request[0], *request[7:10])
    columns = ((text or "").translate(_ESCAPES) for text in texts)
    return "\t".join((identity.counts(request.usage), *columns))
