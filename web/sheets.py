"""CSV that a spreadsheet shows and does not run."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

from web import asking, bodies
from web.calls import Call

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


def wanted(call: Call) -> bool:
    """Whether CSV is wanted: by ?format, or because Accept names it before JSON. Raises Refusal."""
    said = asking.one_of(call, "format", ("json", "csv"))
    if said is not None:
        return said == "csv"
    weights: dict[str, float] = {}
    for part in call.headers.get("accept", "").lower().split(","):
        kind, _, rest = part.partition(";")
        _, _, weight = rest.replace(" ", "").partition("q=")
        try:
            weights[kind.strip()] = float(weight.partition(";")[0] or 1)
        except ValueError:
            weights[kind.strip()] = 0.0
    csv_weight = weights.get(CSV, 0.0)
    return csv_weight > 0 and csv_weight >= weights.get(bodies.JSON, 0.0)


def headers(name: str) -> dict[str, str]:
    """Those of every sheet; it is saved under this name."""
    return {
        "Vary": "Accept",
        "Content-Disposition": f'attachment; filename="{name}.csv"',
        "X-Content-Type-Options": "nosniff",
    }


def link(call: Call, following: str) -> str:
    """The header that says where the next page is."""
    kept = [(name, said) for name, said in call.query.multi_items() if name != "after"]
    return f'<?{urlencode([*kept, ("after", following)])}>; rel="next"'
