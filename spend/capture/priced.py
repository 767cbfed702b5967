"""The cost of many rows at once, equal to what booking.decide() says of each."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from spend.capture.block import Column
from spend.capture.plain import Plain
from spend.capture.request import Request
from spend.pricing import Origin, PriceBook
from spend.pricing.booking import Booked, Costs, decide
from spend.pricing.rates import USUAL

_AUDIO = (6, 7)


def price(plain: Plain, book: PriceBook, versions: Mapping[Origin, int]) -> tuple[Column, Column]:
    """Costs as texts in pico-dollars ("" is unpriced), and the price version of each row.

    Where a model has one price throughout and the row no cost of its own, a few products of
    columns; other rows (long prompts, audio, failures, a price that changes) are priced singly.
    """
    begin, end = pc.min_max(plain.started_us).values()
    simple = [
        book.simple(provider, model, begin.as_py(), end.as_py())
        for provider, model, _ in plain.head.values
    ]
    codes = plain.head.codes
    usage = [zeros(plain.rows) if counts is None else counts for counts in plain.usage]
    alike = _take(
        [
            s is not None and head[2] == "success"
            for s, head in zip(simple, plain.head.values, strict=True)
        ],
        codes,
    )
    alike = pc.and_(
        alike, pc.less_equal(usage[0], _take([s.longest if s else 0 for s in simple], codes))
    )
    alike = pc.and_(alike, pc.less_equal(usage[1], USUAL))
    alike = pc.and_(alike, pc.greater(pc.add(usage[0], usage[1]), 0))
    for place in _AUDIO:
        if plain.usage[place] is not None:
            alike = pc.and_(alike, pc.equal(usage[place], 0))
    if plain.given is not None:
        alike = pc.and_(alike, pc.is_null(plain.given))
    pico = _take([s.request if s else 0 for s in simple], codes)
    for place in range(6):
        if plain.usage[place] is not None:
            weights = _take([s.weights[place] if s else 0 for s in simple], codes)
            # Rows that are not alike may hold counts that overflow; they are priced below.
            counts = pc.if_else(alike, usage[place], 0)
            pico = pc.add_checked(pico, pc.multiply_checked(counts, weights))
    costs = pc.cast(pico, pa.string())
    version = _take([versions[s.origin] if s else 0 for s in simple], codes)
    others = pc.invert(alike)
    one_by_one = [
        decided(book, plain.request(index)) for index in pc.indices_nonzero(others).to_pylist()
    ]
    if one_by_one:
        texts = ["" if one.pico is None else str(one.pico) for one in one_by_one]
        costs = pc.replace_with_mask(costs, others, pa.array(texts, pa.string()))
        ids = pa.array([versions[one.origin] for one in one_by_one], pa.int64())
        version = pc.replace_with_mask(version, others, ids)
    return costs, version


def zeros(rows: int) -> Column:
    """A count that is 0 in all rows."""
    return pa.repeat(pa.scalar(0, pa.int64()), rows)


def decided(book: PriceBook, request: Request) -> Booked:
    """Which of a request's costs is booked."""
    return decide(
        book,
        request.provider,
        request.model,
        request.started_us,
        request.usage,
        status=request.status,
        tier=request.service_tier,
        costs=Costs(request.cost_pico, request.gateway_pico, request.provider_pico),
    )


def _take(per_group: Sequence[int | bool], codes: Column) -> Column:
    kind = pa.bool_() if isinstance(per_group[0], bool) else pa.int64()
    return pa.array(per_group, kind).take(codes)
