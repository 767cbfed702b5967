"""Rows of a table as columns: what a source gives when it has many rows of one shape."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

# An Arrow array of any type; pyarrow has no types of its own.
Column = Any


@dataclass(frozen=True, slots=True)
class Block:
    """`rows` rows, in columns as FIELDS are ordered.

    A column is an Arrow array of texts ("" where nothing is), or None where the file has none;
    then `constants` holds what is the same in every row. raw(i): row i as it was read.
    """

    rows: int
    first_line: int
    columns: tuple[Column, ...]
    constants: tuple[str | None, ...]
    raw: Callable[[int], str]

    def slice(self, start: int, rows: int) -> "Block":
        """Some of its rows, without copying them."""
        return replace(
            self,
            rows=rows,
            first_line=self.first_line + start,
            columns=tuple(c if c is None else c.slice(start, rows) for c in self.columns),
            raw=lambda index: self.raw(index + start),
        )

    def column(self, field: int) -> Column:
        """A field's texts, written out where they are constant."""
        column = self.columns[field]
        return pa.repeat(self.constants[field] or "", self.rows) if column is None else column

    def has(self, field: int) -> bool:
        """True where the file or a constant says something about a field."""
        return self.columns[field] is not None or bool(self.constants[field])

    def row(self, index: int) -> list[object]:
        """One row as the row-by-row path takes it."""
        return [
            constant if column is None else column[index].as_py()
            for column, constant in zip(self.columns, self.constants, strict=True)
        ]

    def row_iterator(self) -> Iterator[list[object]]:
        return (self.row(index) for index in range(self.rows))
