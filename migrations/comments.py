"""Comments on columns, which the models repeat."""

from collections.abc import Iterator, Mapping


def statements(tables: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """SQL that comments on columns: table to column to text."""
    for table, columns in tables.items():
        for column, text in columns.items():
            quoted = text.replace("'", "''")
            yield f"COMMENT ON COLUMN {table}.{column} IS '{quoted}'"
