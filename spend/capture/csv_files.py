import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter

from spend.capture.fields import FIELDS
from spend.capture.mapping import Columns, plan
from spend.capture.pipeline import Numbered
from spend.capture.request import Rejected
from spend.errors import BadInputError

_DELIMITERS = ",;\t|"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")


class CsvSource:
    """A table as text, its first line the names of its columns."""

    columns: Columns

    def __init__(
        self,
        stream: io.BufferedReader,
        maps: Mapping[str, str],
        constants: Mapping[str, str],
        delimiter: str | None = None,
    ) -> None:
        if stream.peek(2)[:2] in _WIDE_BOMS:
            raise BadInputError("The file is UTF-16; convert it to UTF-8 first.")
        # Bytes that are not UTF-8 cost the row that holds them, not the file.
        text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
        first = text.readline()
        if not first.strip():
            raise BadInputError("The first line is empty; it should name the columns.")
        self._delimiter = delimiter or max(_DELIMITERS, key=first.count)
        header = [name.strip() for name in next(csv.reader([first], delimiter=self._delimiter))]
        self.columns = plan(header, maps, constants)
        self._reader = csv.reader(text, delimiter=self._delimiter)
        self._width = len(header)
        # One itemgetter over the row and the constants behind it, since it runs once per row.
        self._extra = [None, *(value for value in self.columns.constants if value is not None)]
        self._pick = itemgetter(*self._places(header))
        self._row: list[str] = []

    def _places(self, header: Sequence[str]) -> list[int]:
        places = []
        constants = self._width + 1
        for field in range(len(FIELDS)):
            source, constant = self.columns.sources[field], self.columns.constants[field]
            if source is not None:
                places.append(header.index(source))
            elif constant is not None:
                places.append(constants)
                constants += 1
            else:
                places.append(self._width)
        return places

    def __iter__(self) -> Iterator[Numbered]:
        reader, width, extra, pick = self._reader, self._width, self._extra, self._pick
        end = 1
        while True:
            try:
                for row in reader:
                    line, end = end + 1, reader.line_num + 1
                    if len(row) == width:
                        self._row = row
                        yield line, pick(row + extra)
                    elif row:
                        self._row = row
                        yield line, Rejected(f"{len(row)} columns instead of {width}")
            except csv.Error as error:
                # Such as a quote that was never closed; the reader goes on with the next line.
                line, end = end + 1, reader.line_num + 1
                self._row = []
                yield line, Rejected(f"not CSV: {error}")
            else:
                return

    def raw(self) -> str:
        out = io.StringIO()
        csv.writer(out, delimiter=self._delimiter, lineterminator="").writerow(self._row)
        return out.getvalue()
