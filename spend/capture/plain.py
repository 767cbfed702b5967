"""The rows of a block in which every value is written the plain way, checked as columns.

This accepts a part of what Normaliser.row() accepts, and makes the same of it, in a sixth of the
time. Whatever it does not accept, good or bad, goes through Normaliser.row(), one by one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spend.attributions import NOBODY, Mix
from spend.capture.block import Block, Column
from spend.capture.fields import FIELDS
from spend.capture.request import Rejected, Request
from spend.capture.times import EARLIEST
from spend.capture.values import MAX_TEXT, MAX_TOKENS, cost
from spend.pricing import Usage

# Places of fields in a row.
ID, TIME, PROVIDER, MODEL = range(4)
TOKENS = range(4, 12)
COST, STATUS, TRACE, SESSION, END_USER = range(12, 17)
EXTRAS = range(17, 21)  # other ids, service tier, a gateway's and a provider's cost
WHO = range(21, len(FIELDS))
_CODES = 1 << 62
_DIGITS = 18
_ISO = r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?$"
_DAY = 86_400_000_000
Head = tuple[str, str, str]  # provider, model, status
_NO_HEAD: Head = ("-", "-", "success")


@dataclass(frozen=True, slots=True)
class Groups:
    """A value per row out of few: rows' codes (Arrow int32) and the values that they mean."""

    codes: Any
    values: list[Any]


@dataclass(frozen=True, slots=True)
class Plain:
    """Checked columns (Arrow arrays) of plain rows; `index` is where they stand in their block.

    usage: token counts, None for a class that is 0 in all rows. given: costs that came with the
    rows, pico-dollars as texts (they may have 28 digits) or null; None where no row has one.
    """

    rows: int
    index: Any
    started_us: Any
    usage: tuple[Column, ...]
    head: Groups
    mix: Groups
    id: Any
    trace: Any
    session: Any
    end_user: Any
    given: Any

    def days(self) -> set[int]:
        """The days since 1970 that its rows began on."""
        return set(pc.unique(pc.divide(self.started_us, _DAY)).to_pylist())

    def request(self, index: int) -> Request:
        """One row of it as a Request."""
        provider, model, status = self.head.values[self.head.codes[index].as_py()]
        given = None if self.given is None else self.given[index].as_py()
        return Request(
            self.id[index].as_py() or None,
            self.started_us[index].as_py(),
            provider,
            model,
            Usage(*(0 if counts is None else counts[index].as_py() for counts in self.usage)),
            None if given is None else int(given),
            status,
            self.trace[index].as_py() or None,
            self.session[index].as_py() or None,
            self.end_user[index].as_py() or None,
            self.mix.values[self.mix.codes[index].as_py()],
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """What a Normaliser knows that a block is checked with."""

    zone: tzinfo | None
    latest: int
    head: Callable[[tuple[object, object, object]], Head]
    mix: Callable[[tuple[object, ...]], Mix]


def read(block: Block, rules: Rules) -> tuple[Plain | None, list[int]]:
    """The plain rows of a block, and which rows of it are not."""
    try:
        return _read(block, rules)
    except pa.ArrowInvalid:  # a value that Arrow cannot read at all
        return None, list(range(block.rows))


def _read(block: Block, rules: Rules) -> tuple[Plain | None, list[int]]:
    checks: list[Column] = []
    started = _started(block, rules.zone, checks)
    checks += [pc.and_(pc.greater_equal(started, EARLIEST), pc.less_equal(started, rules.latest))]
    usage = [_counts(block, field, checks) for field in TOKENS]
    checks += _parts(usage)
    checks += [pc.equal(block.column(field), "") for field in EXTRAS if block.has(field)]
    texts = [block.column(field) for field in (ID, TRACE, SESSION, END_USER)]
    checks.append(
        _plain_texts(
            [t for t, f in zip(texts, (ID, TRACE, SESSION, END_USER), strict=True) if block.has(f)]
        )
    )
    head = _groups([block.column(field) for field in (PROVIDER, MODEL, STATUS)])
    mix = _groups([block.column(field) for field in WHO])
    checks += [_settled(head, rules.head, _NO_HEAD), _settled(mix, rules.mix, NOBODY)]
    given = _given(block, checks)
    checks = [check for check in checks if check is not None]
    good = reduce(pc.and_, checks)
    odd = pc.indices_nonzero(pc.invert(good)).to_pylist()
    index = pa.array(range(block.rows), pa.int32())

    def kept(column: Column) -> Column:
        return column if column is None or not odd else column.filter(good)

    if len(odd) == block.rows:
        return None, odd
    plain = Plain(
        rows=block.rows - len(odd),
        index=kept(index),
        started_us=kept(started),
        usage=tuple(kept(counts) for counts in usage),
        head=Groups(kept(head.codes), head.values),
        mix=Groups(kept(mix.codes), mix.values),
        id=kept(texts[0]),
        trace=kept(texts[1]),
        session=kept(texts[2]),
        end_user=kept(texts[3]),
        given=kept(given),
    )
    return plain, odd


def _started(block: Block, zone: tzinfo | None, checks: list[Column]) -> Column:
    """Microseconds since 1970 of ISO 8601 texts, of the kind of the first row that is one."""
    texts = block.column(TIME)
    try:
        return _microseconds(texts, zone)
    except pa.ArrowInvalid:
        # Looked for only now, since finding them takes ten times as long as reading them all.
        iso = pc.match_substring_regex(texts, _ISO)
        example = texts.filter(iso).slice(0, 1)
        if not len(example):
            raise
        checks.append(iso)
        return _microseconds(pc.if_else(iso, texts, example[0]), zone)


def _microseconds(texts: Column, zone: tzinfo | None) -> Column:
    first = texts[0].as_py()
    if first[10:].rstrip("0123456789.:")[-1:] in {"Z", "+", "-"}:
        found = pc.cast(texts, pa.timestamp("ns", "UTC"))
    elif zone is not None and str(zone) == "UTC":
        found = pc.cast(texts, pa.timestamp("ns"))
    else:
        raise pa.ArrowInvalid("a local time")
    # All that is accepted lies after 1970, where rounding down is cutting off.
    return pc.divide(pc.cast(found, pa.int64()), 1000)


def _counts(block: Block, field: int, checks: list[Column]) -> Column:
    if not block.has(field):
        return None
    texts = block.column(field)
    empty = pc.equal(texts, "")
    # No more digits than 64 bits hold for sure.
    digits = pc.and_(pc.ascii_is_decimal(texts), pc.less_equal(pc.binary_length(texts), _DIGITS))
    checks.append(pc.or_(empty, digits))
    counts = pc.cast(pc.if_else(digits, texts, "0"), pa.int64())
    checks.append(pc.less(counts, MAX_TOKENS))
    return counts


def _given(block: Block, checks: list[Column]) -> Column:
    if not block.has(COST):
        return None
    found: list[str | None] = []
    good: list[bool] = []
    for text in block.column(COST).to_pylist():
        try:
            pico = cost(text)
            good.append(True)
        except Rejected:
            pico = None
            good.append(False)
        found.append(None if pico is None else str(pico))
    checks.append(pa.array(good))
    return pa.array(found, pa.string())


def _parts(usage: Sequence[Column]) -> list[Column]:
    """That no part is more than its whole."""
    tokens, output, read_, write, write_1h, reasoning, audio_in, audio_out = usage
    cached = [part for part in (read_, write, write_1h) if part is not None]
    pairs = [(reduce(pc.add, cached) if cached else None, tokens)]
    pairs += [(audio_in, tokens), (reasoning, output), (audio_out, output)]
    return [
        pc.less_equal(part, 0 if whole is None else whole)
        for part, whole in pairs
        if part is not None
    ]


def _plain_texts(texts: Sequence[Column]) -> Column:
    """Where texts are printable ASCII without a backslash, spaces around them, or great length."""
    if not texts:
        return None
    joined = pc.binary_join_element_wise("", *texts, "", "|")
    odd = pc.or_(pc.match_substring(joined, " |"), pc.match_substring(joined, "| "))
    odd = pc.or_(odd, pc.match_substring(joined, "\\"))
    return pc.and_not(
        pc.and_(pc.ascii_is_printable(joined), pc.less_equal(pc.binary_length(joined), MAX_TEXT)),
        odd,
    )


def _groups(columns: Sequence[Column]) -> Groups:
    """The distinct combinations of some columns, and which of them each row has."""
    encoded = [column.dictionary_encode() for column in columns]
    sizes = [len(column.dictionary) for column in encoded]
    if reduce(int.__mul__, sizes) >= _CODES:
        raise pa.ArrowInvalid("too many combinations")
    code = pc.cast(encoded[0].indices, pa.int64())
    for column, size in zip(encoded[1:], sizes[1:], strict=True):
        code = pc.add(pc.multiply(code, size), pc.cast(column.indices, pa.int64()))
    found = code.dictionary_encode()
    names = [column.dictionary.to_pylist() for column in encoded]
    values = []
    for number in found.dictionary.to_pylist():
        places, rest = [], number
        for size in reversed(sizes):
            rest, place = divmod(rest, size)
            places.append(place)
        values.append(tuple(n[p] for n, p in zip(names, reversed(places), strict=True)))
    return Groups(found.indices, values)


def _settled(groups: Groups, settle: Callable[[Any], Any], otherwise: Any) -> Column:  # noqa: ANN401 - of either kind
    """Bring each value to its one form; answers where rows have one that can be.

    Values that cannot be become `otherwise`: their rows are not plain, so nobody has them.
    """
    good = []
    for number, value in enumerate(groups.values):
        try:
            groups.values[number] = settle(value)
            good.append(True)
        except Rejected:
            groups.values[number] = otherwise
            good.append(False)
    return None if all(good) else pa.array(good).take(groups.codes)
