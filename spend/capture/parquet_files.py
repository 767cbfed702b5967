import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spend.capture.block import Block, Column
from spend.capture.building import Numbered
from spend.capture.mapping import Columns, plan
from spend.errors import BadInputError

_ROWS = 8192
# pyarrow has no types of its own.
Batch = Any
DataType = Any


class ParquetSource:
    """A Parquet file; a row's line is its number, from 1."""

    columns: Columns

    def __init__(
        self, stream: io.BufferedReader, maps: Mapping[str, str], constants: Mapping[str, str]
    ) -> None:
        try:
            self._file = pq.ParquetFile(_seekable(stream))
        except pa.ArrowException as error:
            raise BadInputError(f"The file is not Parquet: {error}") from error
        self.columns = plan(self._file.schema_arrow.names, maps, constants)
        self._number = 0
        self._batch: Batch = None
        self._place = 0

    def __iter__(self) -> Iterator[Numbered | Block]:
        names = sorted({name for name in self.columns.sources if name is not None})
        places = [None if n is None else names.index(n) for n in self.columns.sources]
        kinds = [self._file.schema_arrow.field(name).type for name in names]
        as_texts = all(_is_plain(kind) for kind in kinds)
        try:
            for batch in self._file.iter_batches(_ROWS, columns=names):
                columns = [batch.column(name) for name in names]
                if as_texts:
                    texts = [_texts(column) for column in columns]
                    yield Block(
                        rows=batch.num_rows,
                        first_line=self._number + 1,
                        columns=tuple(None if i is None else texts[i] for i in places),
                        constants=self.columns.constants,
                        raw=partial(_raw, batch),
                    )
                    self._number += batch.num_rows
                else:
                    yield from self._rows(batch, columns, places)
        except pa.ArrowException as error:
            raise BadInputError(f"The file is damaged after row {self._number}: {error}") from error

    def _rows(
        self, batch: Batch, columns: list[Column], places: list[int | None]
    ) -> Iterator[Numbered]:
        self._batch, begin = batch, self._number
        parts = list(zip(places, self.columns.constants, strict=True))
        for values in zip(*(_values(column) for column in columns), strict=True):
            self._number += 1
            self._place = self._number - begin - 1
            yield self._number, [c if i is None else values[i] for i, c in parts]

    def raw(self) -> str:
        return _raw(self._batch, self._place)


def _raw(batch: Batch, index: int) -> str:
    (row,) = batch.slice(index, 1).to_pylist()
    return json.dumps(row, default=str)


def _is_plain(kind: DataType) -> bool:
    """True for a type whose values have one text, the one that a table as text would hold."""
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_integer,
            pa.types.is_float64,
            pa.types.is_timestamp,
            pa.types.is_null,
        )
    )


def _texts(column: Column) -> Column:
    kind = column.type
    if pa.types.is_timestamp(kind):
        # By way of whole microseconds: nanoseconds are cut off, and Arrow takes thirty times as
        # long to write an aware time.
        micro = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
        texts = micro.cast(pa.timestamp("us")).cast(pa.string())
        if kind.tz is not None:
            texts = pc.binary_join_element_wise(texts, "Z", "")
        return texts.fill_null("")
    return column.cast(pa.string()).fill_null("")


def _values(column: Column) -> list[object]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    found: list[object] = column.to_pylist()
    return found


def _seekable(stream: io.BufferedReader) -> Any:  # noqa: ANN401 - whatever pyarrow reads
    """Parquet is read from its end: a pipe or a packed file is unpacked into a temporary one."""
    if isinstance(getattr(stream, "raw", None), io.FileIO) and stream.seekable():
        return stream
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - gone when the source is
    shutil.copyfileobj(stream, copy, 1 << 20)
    copy.seek(0)
    return copy
