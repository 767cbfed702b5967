"""Rows that are read as columns become exactly what they become one by one."""

import csv
import io
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from spend.capture.block import Block
from spend.capture.building import Builder, Numbered, Source
from spend.capture.csv_files import CsvSource
from spend.capture.fields import FIELDS
from spend.capture.normalise import Normaliser
from spend.capture.staging import Stager
from spend.pricing import Override, PriceBook, Rates, Tier

NOW = datetime(2026, 11, 21, tzinfo=UTC)
# A rate that is no whole number of pico-dollars per token, from a day on.
TINY = Rates(input=Decimal("0.0000001"), output=Decimal("0.0000003"))
BOOK = PriceBook(
    [Override(1, "openai", "gpt-4o", datetime(2026, 11, 2, tzinfo=UTC), None, (Tier(0, TINY),))]
)
COUNTS = ("", "0", "7", "1234", "200000", "200001", "007", "12.0", "-1", "0x10", " 5", "1_0", "x",
          "9007199254740991", "9007199254740992", "99999999999999999999")  # fmt: skip
TEXTS = ("", "", "a", "b c", " d", "é", "back\\slash", "a|b", "tab\there", 'q"uote', "new\nline",
         "x" * 513, "NULL", "\x7f", "'")  # fmt: skip
TIMES = ("2026-11-01T10:00:00Z", "2026-11-01T10:00:00.5Z", "2026-11-02 00:00:00.123456+05:30",
         "2026-11-01T10:00:00.1234567Z", "2014-01-01T00:00:00Z", "2030-01-01T00:00:00Z",
         "2026-11-01T10:00Z")  # fmt: skip
ODD_TIMES = (
    "",
    "yesterday",
    "2026-11-01",
    "1793000000",
    "2026-11-01 10:00:00",
    "2026-11-01T24:00Z",
)
MODELS = (("openai", "gpt-4o"), ("openai", "orchid"), ("google", "gemini-2.5-pro"),
          ("deepseek", "deepseek-chat"), ("openai", "gpt-4o-audio-preview"), ("ollama", "x"),
          ("openai", "text-embedding-3-small"), ("anthropic", "claude-sonnet-4-5"), ("", "m"),
          ("a\tb", "c\\d"))  # fmt: skip
COSTS = ("", "", "0.1", "1e-9", "0.0000000000005", "-1", "NaN", "free", "123456789012345")


class Ids(dict[Any, int]):
    """Ids that depend on what they are of and not on the order in which they are asked for."""

    def __missing__(self, key: Any) -> int:
        return crc32(repr(key).encode()) >> 1


class OneByOne:
    """A source whose blocks are taken apart."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._raw = ""

    def __iter__(self) -> Iterator[Numbered | Block]:
        for item in self._source:
            if isinstance(item, Block):
                for index in range(item.rows):
                    self._raw = item.raw(index)
                    yield item.first_line + index, item.row(index)
            else:
                self._raw = self._source.raw()
                yield item

    def raw(self) -> str:
        return self._raw


class Rejects:
    def __init__(self) -> None:
        self.found: list[tuple[int, str, str]] = []

    def add(self, line: int, reason: str, raw: str) -> None:
        self.found.append((line, reason, raw))


def table(draw: random.Random, rows: int, *, odd: float, fields: tuple[str, ...]) -> bytes:
    """A CSV file in which a share of the values is odd.

    No two rows have one id and different content: which of them is first, and so is booked,
    depends on whether both are plain.
    """

    def value(good: tuple[str, ...], all_: tuple[str, ...]) -> str:
        return draw.choice(all_ if draw.random() < odd else good)

    out = io.StringIO()
    writer = csv.DictWriter(out, fields, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    made: list[dict[str, str]] = []
    for number in range(rows):
        provider, model = draw.choice(MODELS[: 8 if draw.random() > odd else None])
        row = {field: value(("", "one", "two"), TEXTS) for field in FIELDS}
        row |= {field: value(COUNTS[:4], COUNTS) for field in FIELDS[4:12]}
        row |= {
            "input_tokens": draw.choice(("4000", "200000", "200001", "700001", "9007199254740991"))
        }
        row |= {"output_tokens": draw.choice(("0", "2469", "5000", "9007199254740991"))}
        row |= {
            "id": draw.choice(("", f"id-{number}", f"{number}{value(('',), TEXTS)}")),
            "started_at": value(TIMES[:4], TIMES + ODD_TIMES),
            "provider": provider,
            "model": model,
            "cost_usd": value(COSTS[:5], COSTS),
            "other_ids": value(("",), ("", f"also-{number}", f"also-{number},and-{number}")),
            "service_tier": value(("",), ("", "Batch", "default", "x" * 513)),
            "gateway_cost_usd": value(("",), COSTS),
            "provider_cost_usd": value(("",), COSTS),
            "status": value(("", "success", "failure"), ("maybe",)),
            "tags": value(("", "a,b", "b,a"), ("a,,a", "t" * 600)),
        }
        made.append(draw.choice(made) if made and draw.random() < 0.2 else row)
        writer.writerow(made[-1])
    return out.getvalue().encode()


def built(content: bytes, zone: str | None, *, one_by_one: bool, batch_rows: int) -> Any:
    """What comes out, without the order of rows: batches, and the verdicts on each line."""
    constants = {"provider": "azure", "model": "gpt-4o"}
    header = content.split(b"\n", 1)[0].decode()
    given = {name: value for name, value in constants.items() if name not in header.split(",")}
    source: Source = CsvSource(io.BufferedReader(io.BytesIO(content)), {}, given)
    rejects = Rejects()
    builder = Builder(
        OneByOne(source) if one_by_one else source,
        Normaliser(ZoneInfo(zone) if zone else None, now=NOW),
        Stager(BOOK, Ids(), Ids()),
        lambda _mixes, _days: None,
        rejects,
    )
    batches = []
    while (batch := builder.batch(batch_rows)) is not None:
        keys = pa.concat_arrays(batch.keys).to_pylist() if batch.keys else []
        rows = pa.concat_arrays(batch.rows).to_pylist() if batch.rows else []
        unpriced = {rows[place] for place in batch.unpriced}
        batches.append(
            (
                Counter(zip(keys, rows, strict=True)),
                unpriced,
                batch.known + len(batch.conflicts),
                Counter(line.partition("\t")[2] for line in batch.others),
                len(batch.lines),
            )
        )
    return batches, sorted(rejects.found), builder.read, builder.rejected


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("odd", [0, 0.02, 0.3])
def test_columns_and_single_rows_give_the_same(seed: int, odd: float) -> None:
    draw = random.Random(f"{seed} {odd}")
    content = table(draw, 120, odd=odd, fields=FIELDS)
    results = [built(content, None, one_by_one=flag, batch_rows=50) for flag in (False, True)]
    assert results[0] == results[1]
    assert results[0][2] == 120


def test_plain_rows_are_read_as_columns() -> None:
    """Otherwise the test above compares a thing with itself."""
    content = table(random.Random(1), 200, odd=0, fields=FIELDS)
    source = CsvSource(io.BufferedReader(io.BytesIO(content)), {}, {})
    normaliser = Normaliser(now=NOW)
    plain = [normaliser.block(item)[0] for item in source if isinstance(item, Block)]
    assert sum(found.rows for found in plain if found is not None) > 100


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", None])
def test_naive_times_and_few_columns(zone: str | None) -> None:
    content = b"started_at,input_tokens,output_tokens\n" + b"".join(
        f"2023-11-16 18:15:{n % 60:02}.6805900,{n % 7},{n % 3}\r\n".encode() for n in range(300)
    )
    results = [built(content, zone, one_by_one=flag, batch_rows=70) for flag in (False, True)]
    assert results[0] == results[1]
    assert results[0][3] == (0 if zone else 300)
