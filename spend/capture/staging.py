"""Requests of one batch, given their identity and price and encoded for COPY."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from spend.attribution.matching import Rules
from spend.attributions import Mix
from spend.capture import identity, priced
from spend.capture.block import Column
from spend.capture.occurrences import Occurrences
from spend.capture.plain import Plain
from spend.capture.request import EPOCH, Request
from spend.pricing import Origin, PriceBook, Usage
from spend.pricing.booking import Booked, Costs, decide

_TABS = 14  # between the columns of `says`, unless a text has one itself
_ALONE = (None, None, None)  # no cost is known but the booked one
_NO_COSTS = "\t\t\t"  # nor a service tier, the way they go into COPY
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_MINUTE = 60_000_000
_CACHED_MINUTES = 100_000
# Routes may round a time, but not by more.
CLOSE_US = 2_000_000

OTHER_CONTENT = "this id is known with other content"
OTHER_TIME = "this id is known with another time"
OTHER_REQUEST = "its ids are known for two requests"


@dataclass(frozen=True, slots=True)
class Conflict:
    """The line of a request whose id is known for something else, why, and what it says (JSON)."""

    line: int
    reason: str
    raw: str


class Compared(NamedTuple):
    """A request of which more than the booked cost is known, and its place in the batch."""

    place: int
    provider: str
    model: str
    started_us: int
    booked: Booked


# What a key was first met with in a batch: its digest, its microseconds, its row's place.
First = tuple[bytes, int, int]
# Who a request is for.
Attribute = Callable[[Request], Mix]


def attribute(rules: Rules) -> Attribute | None:
    """How to find out who a request is for; None where no rule adds to what it says itself."""
    if not rules:
        return None
    return lambda request: rules.apply(
        request.mix, request.provider, request.model, request.started_us
    )


@dataclass(slots=True)
class Batch:
    """Rows with distinct keys, encoded for COPY; and what was found out on the way.

    keys are lines of staged_keys without their number, rows are lines of cost_logs without their
    id: lists of Arrow arrays, each of as many texts as the other's. others are further lines of
    staged_keys, with their number. seen: what each key was first met with, and its row.
    """

    keys: list[Column] = field(default_factory=list)
    rows: list[Column] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)  # where each of them stood in the source
    unpriced: list[int] = field(default_factory=list)  # which of them have no price
    known: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    seen: dict[bytes, First] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    compared: list[Compared] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines)


class Stager:
    """Gives requests their key, digest and price; remembers what it must over all batches.

    attributions and versions: their ids in the database. attribute: who a request is for, where
    rules fill what it does not say; its key keeps to what it said.
    """

    def __init__(
        self,
        book: PriceBook,
        attributions: Mapping[Mix, int],
        versions: Mapping[Origin, int],
        attribute: Attribute | None = None,
    ) -> None:
        self._book = book
        self.attribute = attribute
        self._attributions = attributions
        self._versions = versions
        self._occurrences = Occurrences()
        self._minutes: dict[int, str] = {}

    def mixes(self, requests: Iterable[Request]) -> set[Mix]:
        """The attributions that add() will look up for these requests."""
        return {self._mix(request) for request in requests}

    def add(self, batch: Batch, lines: Sequence[int], requests: Sequence[Request]) -> None:
        """Add requests one by one; equal keys are settled here, so that those left differ."""
        keys: list[str] = []
        rows: list[str] = []
        for line, request in zip(lines, requests, strict=True):
            id_, started, provider, model, usage, given, status, trace, session, end_user, *_ = (
                request
            )
            key = identity.key_of_id(id_) if id_ is not None else self._anonymous(request)
            says = f"{identity.counts(usage)}\t{provider}\t{model}\t{status}"
            digest = identity.digest_bytes(f"{says}\t{identity.nano(given)}".encode())
            at = self._at(started)
            head = f"{int.from_bytes(digest, 'little', signed=True)}\t{at}\t"
            others = [identity.key_of_id(other) for other in request.other_ids]
            found = [batch.seen[k] for k in (key, *others) if k in batch.seen]
            if found:
                _settle(batch, line, found, (digest, started), request)
                _also(batch, found[0], head, (key, *others))
                continue
            first = digest, started, len(batch)
            batch.seen[key] = first
            _also(batch, first, head, others)
            booked = self._decide(batch, request)
            says = f"{says}\t{id_ or ''}\t{trace or ''}\t{session or ''}\t{end_user or ''}"
            if "\\" in says or "\n" in says or "\r" in says or says.count("\t") != _TABS:
                says = _escaped(request)
            keys.append(f"{head}{key.hex()}")
            ids = f"{self._attributions[self._mix(request)]}\t{self._versions[booked.origin]}"
            rows.append(f"{at}\t{ids}\t{_costs(booked, request.service_tier)}\t{says}")
            batch.lines.append(line)
        if keys:
            batch.keys.append(pa.array(keys, pa.string()))
            batch.rows.append(pa.array(rows, pa.string()))

    def _mix(self, request: Request) -> Mix:
        return request.mix if self.attribute is None else self.attribute(request)

    def _decide(self, batch: Batch, request: Request) -> Booked:
        booked = decide(
            self._book,
            request.provider,
            request.model,
            request.started_us,
            request.usage,
            status=request.status,
            tier=request.service_tier,
            costs=Costs(request.cost_pico, request.gateway_pico, request.provider_pico),
        )
        if booked.pico is None:
            batch.unpriced.append(len(batch))
        elif booked[2:] != _ALONE:
            said = request.provider, request.model, request.started_us
            batch.compared.append(Compared(len(batch), *said, booked))
        return booked

    def add_plain(self, batch: Batch, first_line: int, plain: Plain) -> None:
        """Add the plain rows of a block whose first row is `first_line`, as add() would."""
        tab = "\t"
        join = pc.binary_join_element_wise
        counts = _counts_text(plain)
        head = _texts(["\t".join(found) for found in plain.head.values], plain.head.codes)
        nanos = _nanos(plain)
        digests = identity.digests(pc.cast(join(counts, head, nanos, tab), pa.binary()).to_pylist())
        keys = self._keys(plain, counts)
        moments = plain.started_us.to_pylist()
        lines = pc.add(plain.index, first_line).to_pylist()
        start = len(batch)
        says = list(zip(digests, moments, range(start, start + plain.rows), strict=True))
        fresh = None
        if len(set(keys)) < len(keys) or not batch.seen.keys().isdisjoint(keys):
            fresh = _fresh(batch, plain, keys, says, lines)
        else:
            batch.seen.update(zip(keys, says, strict=True))
        costs, version = priced.price(plain, self._book, self._versions)
        known = pc.not_equal(costs, "")
        costs = pc.if_else(known, join(costs, "e-12", ""), "")
        # Naive and with a Z after it: Arrow takes thirty times as long for an aware time.
        at = join(pc.cast(pc.cast(plain.started_us, pa.timestamp("us")), pa.string()), "Z", "")
        numbers = pa.Array.from_buffers(
            pa.int64(), plain.rows, [None, pa.py_buffer(b"".join(digests))]
        )
        escaped = [
            "\t".join(text.translate(_ESCAPES) for text in found) for found in plain.head.values
        ]
        attribution = _ids([self._attributions[mix] for mix in plain.mix.values], plain.mix.codes)
        key_lines = join(pc.cast(numbers, pa.string()), at, _hex(keys), tab)
        row_lines = join(
            at, attribution, pc.cast(version, pa.string()), costs, _NO_COSTS, counts,
            _texts(escaped, plain.head.codes), plain.id, plain.trace, plain.session,
            plain.end_user, tab,
        )  # fmt: skip
        if fresh is not None:
            key_lines, row_lines, known = (
                column.take(fresh) for column in (key_lines, row_lines, known)
            )
            lines = [lines[index] for index in fresh.to_pylist()]
        batch.unpriced += pc.add(pc.indices_nonzero(pc.invert(known)), start).to_pylist()
        batch.keys.append(key_lines)
        batch.rows.append(row_lines)
        batch.lines += lines

    def _keys(self, plain: Plain, counts: Column) -> list[bytes]:
        ids = pc.cast(plain.id, pa.binary()).to_pylist()
        if all(ids):
            return identity.keys_of_ids(ids)
        contents = self._contents(plain, counts)
        keys = []
        for id_, content in zip(ids, contents, strict=True):
            if id_:
                keys.append(identity.key_of_id_bytes(id_))
            else:
                key = identity.content_bytes(content)
                keys.append(identity.numbered(key, self._occurrences.next(key)))
        return keys

    def _contents(self, plain: Plain, counts: Column) -> list[bytes]:
        head = _texts(["\0".join(found) for found in plain.head.values], plain.head.codes)
        mix = _texts([identity.mix_hex(mix) for mix in plain.mix.values], plain.mix.codes)
        given = "" if plain.given is None else pc.fill_null(plain.given, "")
        lines = pc.binary_join_element_wise(
            pc.cast(plain.started_us, pa.string()), counts, head, given, plain.trace,
            plain.session, plain.end_user, mix, "\0",
        )  # fmt: skip
        found: list[bytes] = pc.cast(lines, pa.binary()).to_pylist()
        return found

    def _anonymous(self, request: Request) -> bytes:
        content = identity.content(request)
        return identity.numbered(content, self._occurrences.next(content))

    def _at(self, started: int) -> str:
        minute, rest = divmod(started, _MINUTE)
        text = self._minutes.get(minute)
        if text is None:
            if len(self._minutes) > _CACHED_MINUTES:
                self._minutes.clear()
            text = (EPOCH + timedelta(minutes=minute)).strftime("%Y-%m-%d %H:%M:")
            self._minutes[minute] = text
        return f"{text}{rest // 1_000_000:02}.{rest % 1_000_000:06}Z"


def _fresh(
    batch: Batch,
    plain: Plain,
    keys: Sequence[bytes],
    says: Sequence[First],
    lines: Sequence[int],
) -> Column:
    """Which rows have a key that the batch does not have yet; the others are settled."""
    fresh: list[int] = []
    start = len(batch)
    for index, key in enumerate(keys):
        digest, started, _ = says[index]
        if key in batch.seen:
            request = plain.request(index)
            _settle(batch, lines[index], [batch.seen[key]], (digest, started), request)
        else:
            batch.seen[key] = digest, started, start + len(fresh)
            fresh.append(index)
    return pa.array(fresh, pa.int32())


def _settle(
    batch: Batch, line: int, known: Sequence[First], says: tuple[bytes, int], request: Request
) -> None:
    """Count a request of which the batch has a key: (digest, microseconds) are compared."""
    digest, started, place = known[0]
    if any(other[2] != place for other in known):
        batch.conflicts.append(Conflict(line, OTHER_REQUEST, request.as_json()))
    elif digest != says[0]:
        batch.conflicts.append(Conflict(line, OTHER_CONTENT, request.as_json()))
    elif abs(started - says[1]) > CLOSE_US:
        batch.conflicts.append(Conflict(line, OTHER_TIME, request.as_json()))
    else:
        batch.known += 1


def _also(batch: Batch, first: First, head: str, keys: Iterable[bytes]) -> None:
    """Give a row of the batch more keys, with the head of their staged lines."""
    for key in keys:
        if key not in batch.seen:
            batch.seen[key] = first
            batch.others.append(f"{first[2]}\t{head}{key.hex()}")


def _costs(booked: Booked, tier: str | None) -> str:
    """The columns of COPY from cost_usd to service_tier."""
    cost = "" if booked.pico is None else f"{booked.pico}e-12"
    if tier is None and booked[2:] == _ALONE:
        return f"{cost}\t{_NO_COSTS}"
    others = ("" if pico is None else f"{pico}e-12" for pico in booked[2:])
    return "\t".join((cost, *others, (tier or "").translate(_ESCAPES)))


def _escaped(request: Request) -> str:
    """The columns from input_tokens on, where a text holds what COPY reads as a sign."""
    texts = (request[2], request[3], request[6], request[0], *request[7:10])
    columns = ((text or "").translate(_ESCAPES) for text in texts)
    return "\t".join((identity.counts(request.usage), *columns))


def _texts(per_group: Sequence[str], codes: Column) -> Column:
    return pa.array(per_group, pa.string()).take(codes)


def _ids(per_group: Sequence[int], codes: Column) -> Column:
    return pc.cast(pa.array(per_group, pa.int32()), pa.string()).take(codes)


def _counts_text(plain: Plain) -> Column:
    """identity.counts() of each row."""
    if all(counts is None for counts in plain.usage):
        return pa.repeat(identity.counts(Usage()), plain.rows)
    texts = ["0" if c is None else pc.cast(c, pa.string()) for c in plain.usage]
    return pc.binary_join_element_wise(*texts, "\t")


def _nanos(plain: Plain) -> Column:
    """identity.nano() of each row."""
    if plain.given is None:
        return ""
    found = plain.given.to_pylist()
    return pa.array([identity.nano(None if c is None else int(c)) for c in found], pa.string())


def _hex(keys: Sequence[bytes]) -> Column:
    """Keys of 16 bytes as texts: one conversion, cut into pieces by offsets."""
    offsets = pa.array(range(0, 32 * len(keys) + 1, 32), pa.int32())
    data = b"".join(keys).hex().encode()
    return pa.StringArray.from_buffers(len(keys), offsets.buffers()[1], pa.py_buffer(data))
