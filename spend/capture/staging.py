"""Requests of one batch, given their identity and price and encoded for COPY."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from spend.attribution.matching import Rules
from spend.attributions import Mix
from spend.capture import encoding, identity, priced
from spend.capture.batch import Batch, Compared, also, fresh_rows, settle
from spend.capture.block import Column
from spend.capture.occurrences import Occurrences
from spend.capture.plain import Plain
from spend.capture.request import EPOCH, Request
from spend.pricing import Origin, PriceBook
from spend.pricing.booking import Booked

_TABS = 14  # between the columns of `says`, unless a text has one itself
_MINUTE = 60_000_000
_CACHED_MINUTES = 100_000
# Who a request is for.
Attribute = Callable[[Request], Mix]


def attribute(rules: Rules) -> Attribute | None:
    """How to find out who a request is for; None where no rule adds to what it says itself."""
    if not rules:
        return None
    return lambda request: rules.apply(
        request.mix, request.provider, request.model, request.started_us
    )


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
                settle(batch, line, found, (digest, started), request)
                also(batch, found[0], head, (key, *others))
                continue
            first = digest, started, len(batch)
            batch.seen[key] = first
            also(batch, first, head, others)
            booked = self._decide(batch, request)
            says = f"{says}\t{id_ or ''}\t{trace or ''}\t{session or ''}\t{end_user or ''}"
            if "\\" in says or "\n" in says or "\r" in says or says.count("\t") != _TABS:
                says = encoding.escaped(request)
            keys.append(f"{head}{key.hex()}")
            ids = f"{self._attributions[self._mix(request)]}\t{self._versions[booked.origin]}"
            rows.append(f"{at}\t{ids}\t{encoding.costs(booked, request.service_tier)}\t{says}")
            batch.lines.append(line)
        if keys:
            batch.keys.append(pa.array(keys, pa.string()))
            batch.rows.append(pa.array(rows, pa.string()))

    def _mix(self, request: Request) -> Mix:
        return request.mix if self.attribute is None else self.attribute(request)

    def _decide(self, batch: Batch, request: Request) -> Booked:
        booked = priced.decided(self._book, request)
        if booked.pico is None:
            batch.unpriced.append(len(batch))
        elif booked[2:] != encoding.ALONE:
            said = request.provider, request.model, request.started_us
            batch.compared.append(Compared(len(batch), *said, booked))
        return booked

    def add_plain(self, batch: Batch, first_line: int, plain: Plain) -> None:
        """Add the plain rows of a block whose first row is `first_line`, as add() would."""
        tab = "\t"
        join = pc.binary_join_element_wise
        counts = encoding.counts_text(plain)
        head = encoding.texts(["\t".join(found) for found in plain.head.values], plain.head.codes)
        nanos = encoding.nanos(plain)
        digests = identity.digests(pc.cast(join(counts, head, nanos, tab), pa.binary()).to_pylist())
        keys = self._keys(plain, counts)
        moments = plain.started_us.to_pylist()
        lines = pc.add(plain.index, first_line).to_pylist()
        start = len(batch)
        says = list(zip(digests, moments, range(start, start + plain.rows), strict=True))
        fresh = None
        if len(set(keys)) < len(keys) or not batch.seen.keys().isdisjoint(keys):
            fresh = fresh_rows(batch, plain, keys, says, lines)
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
            "\t".join(text.translate(encoding.ESCAPES) for text in found)
            for found in plain.head.values
        ]
        attribution = encoding.ids(
            [self._attributions[mix] for mix in plain.mix.values], plain.mix.codes
        )
        key_lines = join(pc.cast(numbers, pa.string()), at, encoding.hexed(keys), tab)
        row_lines = join(
            at, attribution, pc.cast(version, pa.string()), costs, encoding.NO_COSTS, counts,
            encoding.texts(escaped, plain.head.codes), plain.id, plain.trace, plain.session,
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
        head = encoding.texts(["\0".join(found) for found in plain.head.values], plain.head.codes)
        mix = encoding.texts([identity.mix_hex(mix) for mix in plain.mix.values], plain.mix.codes)
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
