"""Which column of a file is which field: decided once, before a row is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spend.capture.fields import ALIASES, FIELDS, MEASURED, REQUIRED, canonical
from spend.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Columns:
    """For each of FIELDS, in order: the column it comes from, or else its constant.

    ignored: columns of the file that are no field.
    """

    sources: tuple[str | None, ...]
    constants: tuple[str | None, ...]
    ignored: tuple[str, ...]


def plan(columns: Sequence[str], maps: Mapping[str, str], constants: Mapping[str, str]) -> Columns:
    """Match fields and columns. Raises BadInputError naming every field that is wrong.

    maps: field to column, constants: field to text; a column named as a field is mapped by itself.
    """
    wanted = _fields(maps, "--map")
    fixed = _fields(constants, "--set")
    problems = [f"{name} is both mapped and set" for name in wanted.keys() & fixed.keys()]
    problems += [
        f"{field} is mapped to {column!r}, which is not a column"
        for field, column in wanted.items()
        if column not in columns
    ]
    found = {ALIASES[column]: column for column in columns if column in ALIASES}
    found |= {column: column for column in columns if column in FIELDS}
    sources = {name: column for name, column in found.items() if name not in fixed} | wanted
    there = sources.keys() | fixed.keys()
    problems += [f"{field} is missing" for field in REQUIRED if field not in there]
    if not there & set(MEASURED):
        problems.append("neither tokens nor a cost are there")
    if problems:
        raise BadInputError(
            "The columns do not fit: "
            + "; ".join(sorted(problems))
            + f".\nThe file has: {', '.join(columns) or 'no columns'}."
            + "\nUse --map FIELD=COLUMN or --set FIELD=VALUE; fields are: "
            + ", ".join(FIELDS)
            + "."
        )
    used = set(sources.values())
    return Columns(
        tuple(sources.get(field) for field in FIELDS),
        tuple(fixed.get(field) for field in FIELDS),
        tuple(column for column in columns if column not in used),
    )


def _fields(given: Mapping[str, str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in given.items():
        field = canonical(name)
        if field is None:
            raise BadInputError(
                f"{option} {name}={value}: there is no field {name!r}. "
                f"Fields are: {', '.join(FIELDS)}."
            )
        found[field] = value
    return found
