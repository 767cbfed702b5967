"""Requests as the text that COPY takes."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from spend.capture import identity
from spend.capture.block import Column
from spend.capture.plain import Plain
from spend.capture.request import Request
from spend.pricing import Usage
from spend.pricing.booking import Booked

ALONE = (None, None, None)  # no cost is known but the booked one
NO_COSTS = "\t\t\t"  # nor a service tier
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def costs(booked: Booked, tier: str | None) -> str:
    """The columns of COPY from cost_usd to service_tier."""
    cost = "" if booked.pico is None else f"{booked.pico}e-12"
    if tier is None and booked[2:] == ALONE:
        return f"{cost}\t{NO_COSTS}"
    others = ("" if pico is None else f"{pico}e-12" for pico in booked[2:])
    return "\t".join((cost, *others, (tier or "").translate(ESCAPES)))


def escaped(request: Request) -> str:
    """The columns from input_tokens on, where a text holds what COPY reads as a sign."""
    texts = (request[2], request[3], request[6], request[0], *request[7:10])
    columns = ((text or "").translate(ESCAPES) for text in texts)
    return "\t".join((identity.counts(request.usage), *columns))


def texts(per_group: Sequence[str], codes: Column) -> Column:
    return pa.array(per_group, pa.string()).take(codes)


def ids(per_group: Sequence[int], codes: Column) -> Column:
    return pc.cast(pa.array(per_group, pa.int32()), pa.string()).take(codes)


def counts_text(plain: Plain) -> Column:
    """identity.counts() of each row."""
    if all(counts is None for counts in plain.usage):
        return pa.repeat(identity.counts(Usage()), plain.rows)
    texts = ["0" if c is None else pc.cast(c, pa.string()) for c in plain.usage]
    return pc.binary_join_element_wise(*texts, "\t")


def nanos(plain: Plain) -> Column:
    """identity.nano() of each row."""
    if plain.given is None:
        return ""
    found = plain.given.to_pylist()
    return pa.array([identity.nano(None if c is None else int(c)) for c in found], pa.string())


def hexed(keys: Sequence[bytes]) -> Column:
    """Keys of 16 bytes as texts: one conversion, cut into pieces by offsets."""
    offsets = pa.array(range(0, 32 * len(keys) + 1, 32), pa.int32())
    data = b"".join(keys).hex().encode()
    return pa.StringArray.from_buffers(len(keys), offsets.buffers()[1], pa.py_buffer(data))
