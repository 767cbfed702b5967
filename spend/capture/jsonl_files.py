import io
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import chain, islice
from typing import Any

from spend.capture.building import Numbered
from spend.capture.mapping import Columns, plan
from spend.capture.request import Rejected
from spend.errors import BadInputError

_LOOK_AHEAD = 100


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse)


class JsonlSource:
    """One JSON object per line. `--map` may name a nested value: usage.input_tokens."""

    columns: Columns

    def __init__(
        self, stream: io.BufferedReader, maps: Mapping[str, str], constants: Mapping[str, str]
    ) -> None:
        text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="\n")
        # Objects may leave out what they do not have, so one line does not show all names.
        first = list(islice(text, _LOOK_AHEAD))
        if first and first[0].lstrip().startswith("["):
            raise BadInputError(
                "The file is one JSON array; write one object per line (jq -c '.[]' does that)."
            )
        names: dict[str, None] = {}
        for line in first:
            found = _parsed(line)
            if isinstance(found, dict):
                names |= dict.fromkeys(_names(found, set(maps.values())))
        self.columns = plan(list(names), maps, constants)
        self._lines = chain(first, text)
        self._line = ""

    def __iter__(self) -> Iterator[Numbered]:
        places = list(zip(self.columns.sources, self.columns.constants, strict=True))
        flat = not any(source and "." in source for source, _ in places)
        for number, line in enumerate(self._lines, 1):
            self._line = line
            found = _parsed(line)
            if isinstance(found, dict):
                get = found.get if flat else _Nested(found).get
                yield (
                    number,
                    [constant if source is None else get(source) for source, constant in places],
                )
            elif isinstance(found, Rejected):
                yield number, found
            elif line.strip():
                yield number, Rejected("not a JSON object")

    def raw(self) -> str:
        return self._line.rstrip("\r\n")


class _Nested:
    def __init__(self, found: dict[str, Any]) -> None:
        self._found = found

    def get(self, name: str) -> object:
        if name in self._found or "." not in name:
            return self._found.get(name)
        value: object = self._found
        for part in name.split("."):
            if not isinstance(value, dict):
                return None
            value = value.get(part)
        return value


def _names(found: dict[str, Any], mapped: set[str]) -> list[str]:
    nested = [name for name in mapped if "." in name and _Nested(found).get(name) is not None]
    return [*found, *nested]


def _parsed(line: str) -> Any:  # noqa: ANN401 - whatever JSON says
    try:
        return _DECODER.decode(line) if line.strip() else None
    except (ValueError, RecursionError) as error:
        return Rejected(f"not JSON: {error}")
