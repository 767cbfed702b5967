import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spend.capture.mapping import Columns, plan
from spend.capture.pipeline import Numbered
from spend.errors import BadInputError

_ROWS = 8192


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
        self._row: dict[str, object] = {}
        self._names: list[str] = []
        self._values: tuple[object, ...] = ()

    def __iter__(self) -> Iterator[Numbered]:
        self._names = sorted({name for name in self.columns.sources if name is not None})
        places = [None if n is None else self._names.index(n) for n in self.columns.sources]
        parts = list(zip(places, self.columns.constants, strict=True))
        number = 0
        try:
            for batch in self._file.iter_batches(_ROWS, columns=self._names):
                columns = [_values(batch.column(name)) for name in self._names]
                for values in zip(*columns, strict=True):
                    number += 1
                    self._values = values
                    yield number, [c if i is None else values[i] for i, c in parts]
        except pa.ArrowException as error:
            raise BadInputError(f"The file is damaged after row {number}: {error}") from error

    def raw(self) -> str:
        return json.dumps(dict(zip(self._names, self._values, strict=True)), default=str)


def _values(column: Any) -> list[object]:  # noqa: ANN401 - pyarrow has no types
    kind = column.type
    if pa.types.is_timestamp(kind):
        # Truncates nanoseconds, as texts are truncated; unsafe is pyarrow's word for that.
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
        if kind.tz is not None:
            # Already microseconds of UTC: no need to make a datetime of each.
            column = column.cast(pa.int64())
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
