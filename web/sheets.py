"""CSV that a spreadsheet shows and does not run."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

CSV = "text/csv"
# What programs take for the beginning of a formula, also after blanks and in full width; and the
# apostrophe itself, so that taking one away gives every value back as it was.
_RUNS = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|['\t\r\n]")


def safe(value: str) -> str:
    """A text of somebody else's, with an apostrophe before what could run."""
    return f"'{value}" if _RUNS.match(value) else value


def written(
    header: Sequence[str], lines: Iterable[tuple[Sequence[str | None], Sequence[int | str]]]
) -> bytes:
    """Each line a group, whose texts are not trusted, and its figures; RFC 4180, UTF-8.

    All but numbers is quoted, so that no other separator than ours can end a value.
    """
    found = io.StringIO()
    writer = csv.writer(found, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([safe(name) for name in header])
    for group, figures in lines:
        writer.writerow([*("" if value is None else safe(value) for value in group), *figures])
    return found.getvalue().encode()
