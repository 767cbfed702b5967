"""Set-based SQL lives in .sql files; each query there is named and says what it is for.

-- name: shard_totals
-- The sums of ...
SELECT ...
"""

from functools import cache
from importlib.resources import files

from sqlalchemy import TextClause, text

_MARK = "-- name: "


@cache
def queries(subject: str) -> dict[str, str]:
    """Name to SQL of every query in `<subject>.sql`."""
    source = files(__package__).joinpath(f"{subject}.sql").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for chunk in source.split(_MARK)[1:]:
        name, _, body = chunk.partition("\n")
        lines = (line for line in body.splitlines() if not line.lstrip().startswith("--"))
        found[name.strip()] = "\n".join(lines).strip().rstrip(";")
    return found


@cache
def query(subject: str, name: str) -> TextClause:
    """One named query, ready to execute with its `:binds`."""
    return text(queries(subject)[name])


def subjects() -> list[str]:
    """Every subject that has a file of queries."""
    return sorted(p.name[:-4] for p in files(__package__).iterdir() if p.name.endswith(".sql"))
