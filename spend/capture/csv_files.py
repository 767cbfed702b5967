"""Tables as text: blocks of whole lines are read by Arrow, whatever is unusual by Python's csv."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from operator import itemgetter

import pyarrow as pa
from pyarrow import csv as arrow_csv

from spend.capture.block import Block, Column
from spend.capture.building import Numbered
from spend.capture.mapping import Columns, plan
from spend.capture.request import Rejected
from spend.errors import BadInputError

_DELIMITERS = ",;\t|"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"
_BLOCK = 1 << 20


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
        self._stream = stream
        first = _header_line(stream)
        self._delimiter = delimiter or max(_DELIMITERS, key=first.count)
        try:
            names = next(csv.reader([first], delimiter=self._delimiter))
        except csv.Error as error:
            raise BadInputError(f"The first line does not name columns: {error}.") from error
        self._header = [name.strip() for name in names]
        self.columns = plan(self._header, maps, constants)
        self._row: list[str] = []
        self._line = 2

    def __iter__(self) -> Iterator[Numbered | Block]:
        blocks = _whole_lines(self._stream)
        for content in blocks:
            block = self._block(content)
            if block is not None:
                self._line += block.rows
                yield block
            elif all(line.count(b'"') % 2 == 0 for line in content.splitlines()):
                yield from self._rows([content])
            else:
                # A value that contains a line's end: blocks may cut it, so there are none here on.
                yield from self._rows(chain([content], blocks))

    def raw(self) -> str:
        out = io.StringIO()
        csv.writer(out, delimiter=self._delimiter, lineterminator="").writerow(self._row)
        return out.getvalue()

    def _block(self, content: bytes) -> Block | None:
        """A block of lines, or None where a line is not exactly one row of the table."""
        lines = content.count(b"\n") + (not content.endswith(b"\n"))
        # Names may be there twice; the place of a column cannot.
        names = [str(place) for place in range(len(self._header))]
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(content),
                arrow_csv.ReadOptions(
                    column_names=names, use_threads=False, block_size=len(content) + 1
                ),
                arrow_csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
                arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
            )
        except pa.ArrowException:
            return None
        found = [_one_array(column) for column in table.columns]
        if table.num_rows != lines or found[-1][-1].as_py().endswith("\n"):
            return None
        places = [None if n is None else self._header.index(n) for n in self.columns.sources]
        return Block(
            rows=lines,
            first_line=self._line,
            columns=tuple(None if place is None else found[place] for place in places),
            constants=self.columns.constants,
            raw=lambda index: content.split(b"\n")[index].decode(errors="replace").rstrip("\r"),
        )

    def _rows(self, contents: Iterable[bytes]) -> Iterator[Numbered]:
        """Rows one by one; each content but the last ends with a line."""
        # Bytes that are not UTF-8 cost the row that holds them, not the file.
        lines = (
            line
            for content in contents
            for line in io.StringIO(content.decode(errors="surrogateescape"), newline="")
        )
        reader = csv.reader(lines, delimiter=self._delimiter)
        width, begin = len(self._header), self._line
        constants = [None, *self.columns.constants]
        pick = itemgetter(
            *(
                width + 1 + field if source is None else self._header.index(source)
                for field, source in enumerate(self.columns.sources)
            )
        )
        while True:
            line = begin + reader.line_num
            try:
                row = next(reader)
            except StopIteration:
                self._line = line
                return
            except csv.Error as error:
                # Such as a quote that was never closed; the reader goes on with the next line.
                self._row = []
                yield line, Rejected(f"not CSV: {error}")
                continue
            self._row = row
            if len(row) == width:
                yield line, pick(row + constants)
            elif row:
                yield line, Rejected(f"{len(row)} columns instead of {width}")


def _whole_lines(stream: io.BufferedReader) -> Iterator[bytes]:
    """The rest of a stream in pieces that end with a line, as soon as there is one."""
    rest = b""
    while piece := stream.read1(_BLOCK):
        content = rest + piece
        cut = content.rfind(b"\n") + 1
        rest = content[cut:]
        if cut:
            yield content[:cut]
    if rest:
        yield rest


def _one_array(column: Column) -> Column:
    chunks = column.chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)


def _header_line(stream: io.BufferedReader) -> str:
    try:
        first = stream.readline().removeprefix(_BOM).decode()
    except UnicodeDecodeError:
        first = "\0"
    if not first.strip():
        raise BadInputError("The first line is empty; it should name the columns.")
    if not first.replace("\t", "").strip().isprintable():
        raise BadInputError(
            "The file is not text in UTF-8; CSV, JSON lines and Parquet are read, also gzipped."
        )
    return first
