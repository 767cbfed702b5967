"""Reading a table as requests, one by one, and adding up what it says."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Numeric, Text, cast, column, literal, select
from sqlalchemy import table as sql_table

from spend.capture.adopt.shape import Table
from spend.capture.building import Numbered, RejectsSink
from spend.capture.fields import FIELDS
from spend.capture.mapping import Columns
from spend.capture.request import Rejected
from spend.capture.values import decimal

_ID = FIELDS.index("id")
_COST = FIELDS.index("cost_usd")
_TOGETHER = 5_000
_PLACES = 12
# Enough for every digit that a double can have before and behind its point.
EXACT = Context(prec=1000, rounding=ROUND_HALF_EVEN)
_LISTS = ("tags", "other_ids")
_STRUCTURED = ("json", "jsonb")


@dataclass(slots=True)
class Tally:
    """What rows say: how many, their cost as it is written, and rounded row by row to pico-dollars.

    unpriced: rows without a cost. rounded: rows whose cost has more than twelve places.
    """

    rows: int = 0
    exact: Decimal = Decimal(0)
    pico: int = 0
    unpriced: int = 0
    rounded: int = 0

    def add(self, written: object) -> None:
        self.rows += 1
        cost = None if written is None else decimal(str(written).strip())
        if cost is None or not cost.is_finite():
            self.unpriced += 1
            return
        pico = cost.scaleb(_PLACES, EXACT)
        whole = pico.to_integral_value(context=EXACT)
        self.exact = EXACT.add(self.exact, cost)
        self.pico += int(whole)
        self.rounded += whole != pico


class Rows:
    """A source of a table's rows. prefix: what stands before each id, so that it is its own.

    missing: what a field is where its column is NULL or empty. They are read in one snapshot.
    """

    def __init__(
        self,
        connection: Connection,
        table: Table,
        columns: Columns,
        prefix: str,
        missing: dict[str, str],
    ) -> None:
        self._connection = connection
        self._columns = columns
        self.prefix = prefix
        self._missing = [(FIELDS.index(field), value) for field, value in missing.items()]
        self._statement = _statement(table, columns)
        self._last: Sequence[Any] = ()
        self.tally = Tally()

    def __iter__(self) -> Iterator[Numbered]:
        # A double as its shortest text, and a time as ISO 8601 in UTC, whatever the login prefers.
        for setting in ("extra_float_digits = 1", "datestyle = 'ISO'", "timezone = 'UTC'"):
            self._connection.exec_driver_sql(f"SET LOCAL {setting}")
        options = {"stream_results": True, "max_row_buffer": _TOGETHER}
        found = self._connection.execute(self._statement, execution_options=options)
        for number, row in enumerate(found, 1):
            self._last = row
            self.tally.add(row[_COST])
            values = list(row)
            for place, value in self._missing:
                if values[place] is None or values[place] == "":
                    values[place] = value
            if values[_ID] is None or values[_ID] == "":
                yield number, Rejected("id is missing")
            else:
                values[_ID] = f"{self.prefix}{values[_ID]}"
                yield number, values

    def raw(self) -> str:
        said = zip(FIELDS, self._last, strict=True)
        return json.dumps({name: value for name, value in said if value is not None}, default=str)


class LeftOut:
    """Adds up what was not booked, and hands it on to where it is kept."""

    def __init__(self, sink: RejectsSink | None) -> None:
        self._sink = sink
        self.tally = Tally()
        self.reasons: dict[str, int] = {}

    def add(self, line: int, reason: str, raw: str) -> None:
        self.tally.add(json.loads(raw).get("cost_usd"))
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if self._sink is not None:
            self._sink.add(line, reason, raw)


def _statement(table: Table, columns: Columns) -> Any:  # noqa: ANN401 - a select of as many columns as there are fields
    fields = zip(FIELDS, columns.sources, columns.constants, strict=True)
    chosen = [
        literal(constant, Text) if source is None else _read(field, source, table.columns[source])
        for field, source, constant in fields
    ]
    named = [each.label(field) for each, field in zip(chosen, FIELDS, strict=True)]
    return select(*named).select_from(sql_table(table.name, schema=table.schema))


def _read(field: str, source: str, type_: str) -> ColumnElement[Any]:
    found: ColumnElement[Any] = column(source)
    if type_ == "money":
        return cast(cast(found, Numeric), Text)
    if field in _LISTS and (type_.endswith("[]") or type_ in _STRUCTURED):
        return found
    return cast(found, Text)
