"""From a source to batches: rows are brought to one form, priced and encoded."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from spend.attributions import Mix
from spend.capture.batch import Batch
from spend.capture.block import Block
from spend.capture.normalise import Normaliser
from spend.capture.request import Rejected, Request
from spend.capture.staging import Stager

_DAY = 86_400_000_000
# Few enough that what is made of them stays in the processor's cache until it is encoded.
_TOGETHER = 500

# What a source gives for a row: its line, and its values in the order of FIELDS or a verdict.
Numbered = tuple[int, Sequence[object] | Rejected]


class Source(Protocol):
    """Where rows come from, one by one or as blocks of columns."""

    def __iter__(self) -> Iterator[Numbered | Block]: ...

    def raw(self) -> str:
        """The row that was given last, one by one, as it was read."""
        ...


class RejectsSink(Protocol):
    """Where rows go that are not booked."""

    def add(self, line: int, reason: str, raw: str) -> None: ...


# Makes sure that requests of these mixes and days (since 1970) can be staged and booked.
Prepare = Callable[[set[Mix], set[int]], None]


class Builder:
    """Reads a source into batches of at most `batch_rows` rows."""

    def __init__(
        self,
        source: Source,
        normaliser: Normaliser,
        stager: Stager,
        prepare: Prepare,
        rejects: RejectsSink | None,
    ) -> None:
        self._source = source
        self._items = iter(source)
        self._normaliser = normaliser
        self._stager = stager
        self._prepare = prepare
        self._rejects = rejects
        self._rest: Block | None = None
        self._lines: list[int] = []
        self._requests: list[Request] = []
        self.read = 0
        self.rejected = 0

    def batch(self, batch_rows: int) -> Batch | None:
        """The next rows; None at the end of the source."""
        batch = Batch()
        end = self.read + batch_rows
        while self.read < end:
            item = self._rest or next(self._items, None)
            self._rest = None
            if item is None:
                break
            if isinstance(item, Block):
                rows = min(item.rows, end - self.read)
                if rows < item.rows:
                    self._rest = item.slice(rows, item.rows - rows)
                    item = item.slice(0, rows)
                self._block(batch, item)
            else:
                self._row(batch, *item)
        self._flush(batch)
        return batch if self.read > end - batch_rows else None

    def _block(self, batch: Batch, block: Block) -> None:
        self._flush(batch)
        # Rules look at each request's time: such rows go one by one.
        ruled = self._stager.attribute is not None
        plain, odd = (None, list(range(block.rows))) if ruled else self._normaliser.block(block)
        if plain is not None:
            days = plain.days()
            self._prepare(set(plain.mix.values), days)
            self._stager.add_plain(batch, block.first_line, plain)
            self.read += plain.rows
        for index in odd:
            line, raw = block.first_line + index, partial(block.raw, index)
            self._row(batch, line, block.row(index), raw)
        self._flush(batch)

    def _row(
        self,
        batch: Batch,
        line: int,
        row: Sequence[object] | Rejected,
        raw: Callable[[], str] | None = None,
    ) -> None:
        self.read += 1
        try:
            if isinstance(row, Rejected):
                raise row
            self._requests.append(self._normaliser.row(row))
            self._lines.append(line)
        except Rejected as verdict:
            self.rejected += 1
            if self._rejects:
                self._rejects.add(line, str(verdict), (raw or self._source.raw)())
        if len(self._lines) >= _TOGETHER:
            self._flush(batch)

    def _flush(self, batch: Batch) -> None:
        if self._lines:
            mixes = self._stager.mixes(self._requests)
            self._prepare(mixes, {request.started_us // _DAY for request in self._requests})
            self._stager.add(batch, self._lines, self._requests)
            self._lines, self._requests = [], []
