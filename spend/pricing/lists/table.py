"""A price list of one's own as CSV.

    provider,model,service_tier,above_input_tokens,input,output,cache_read,valid_from

provider, model, input and output are needed. Rates are dollars per million tokens, `request`
dollars per request; an empty one costs what the class that contains it does. Lines with the same
provider, model and period are the tiers of one price.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from spend.errors import BadInputError
from spend.pricing.lists.entries import BadRateError, Entry, Skipped, amount
from spend.pricing.rates import Rates, Tier
from spend.pricing.services import service_name
from spend.pricing.tiers import CLASSES, checked

NEEDED = ("provider", "model", "input", "output")
COLUMNS = (
    "provider", "model", "service_tier", "above_input_tokens", *CLASSES, "valid_from", "valid_to",
)  # fmt: skip

_Name = tuple[str, str, datetime | None, datetime | None]


def entries(lines: Iterable[str]) -> Iterator[Entry | Skipped]:
    """The prices of a table. Raises BadInputError for a header that does not fit."""
    table = csv.DictReader(lines)
    header = [name.strip() for name in table.fieldnames or ()]
    table.fieldnames = header
    problems = [f"no column {name}" for name in NEEDED if name not in header]
    problems += [f"unknown column {name!r}" for name in header if name not in COLUMNS]
    if problems:
        raise BadInputError(
            f"The price list has {', '.join(problems)}. Columns are: {', '.join(COLUMNS)}."
        )
    prices: defaultdict[_Name, list[Tier]] = defaultdict(list)
    for row in table:
        try:
            name, tier = _line(row)
        except (BadRateError, ValueError) as error:
            yield Skipped(f"line {table.line_num}", str(error))
        else:
            prices[name].append(tier)
    for (provider, model, valid_from, valid_to), tiers in prices.items():
        try:
            checked(tiers)
        except BadInputError as error:
            yield Skipped(f"{provider} {model}", str(error))
        else:
            yield Entry(provider, model, tuple(tiers), valid_from, valid_to)


def _line(row: dict[str, str | None]) -> tuple[_Name, Tier]:
    said = {name: (value or "").strip() for name, value in row.items() if name is not None}
    if not said["provider"] or not said["model"]:
        raise BadRateError("provider or model is empty")
    above = said.get("above_input_tokens") or "0"
    if not above.isdecimal():
        raise BadRateError(f"above_input_tokens is {above!r}, no number of tokens")
    rates = Rates(**{name: amount(said[name]) for name in CLASSES if said.get(name)})
    name = said["provider"], said["model"], _time(said, "valid_from"), _time(said, "valid_to")
    return name, Tier(int(above), rates, service_name(said.get("service_tier")))


def _time(said: dict[str, str], name: str) -> datetime | None:
    if not said.get(name):
        return None
    try:
        found = datetime.fromisoformat(said[name])
    except ValueError:
        raise BadRateError(f"{name} is {said[name]!r}, no date or time") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
