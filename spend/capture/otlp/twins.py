"""Several libraries that watch one call: spans that are the same request, counted once.

Spans with an id in common (gen_ai.response.id above all) are one request. So is a span with the
one inside it that used as many tokens, or where one of the two does not say what was used: a
framework's span around a client's. That second rule needs both in one export, which is nearly
always so, since they end within moments of each other.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from models import TOKEN_CLASSES
from spend.capture.otlp.span import Span
from spend.capture.request import Rejected
from spend.capture.values import MAX_IDS

OWN_ID = "otel:"
_DEPTH = 100  # spans that name each other as parents would be walked for ever

Place = tuple[str, str]


class Seen(NamedTuple):
    """A span that is a request, and what was made of it: fields, or why none."""

    span: Span
    fields: dict[str, object] | Rejected


def once(seen: Sequence[Seen], spans: Sequence[Span]) -> list[dict[str, object] | Rejected]:
    """The requests in their order, several spans of one made one."""
    parents = {_place(span): (span.trace_id, span.parent_id) for span in spans if span.span_id}
    groups = _Groups(len(seen))
    _same_id(seen, groups)
    for outer, inner in _wrapped(seen, _around(seen, parents)).items():
        groups.join(outer, inner)
    found: list[dict[str, object] | Rejected] = []
    for first, members in groups.found():
        fields = seen[first].fields
        if isinstance(fields, Rejected):
            found.append(fields)
        else:
            found.append(_merged([f for n in members if isinstance(f := seen[n].fields, dict)]))
    return found


def _place(span: Span) -> Place:
    return span.trace_id, span.span_id


def _around(seen: Sequence[Seen], parents: Mapping[Place, Place]) -> dict[int, int]:
    """For each span that is inside another of these: the nearest one around it."""
    numbers = {_place(one.span): n for n, one in enumerate(seen)}
    found: dict[int, int] = {}
    for n, one in enumerate(seen):
        place: Place | None = _place(one.span)
        for _ in range(_DEPTH):
            place = parents.get(place) if place else None
            if place is None:
                break
            if numbers.get(place, n) != n:
                found[n] = numbers[place]
                break
    return found


def _wrapped(seen: Sequence[Seen], around: Mapping[int, int]) -> dict[int, int]:
    """For each span around another that tells the same call: that other.

    Of several, as when a call was tried again, the last: the others were calls of their own.
    """
    in_time = sorted(around.items(), key=lambda pair: seen[pair[0]].span.start_ns)
    return {
        outer: inner for inner, outer in in_time if _alike(seen[inner].fields, seen[outer].fields)
    }


def _alike(one: object, other: object) -> bool:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return False
    if not _is_own(one) and not _is_own(other):
        return False  # two answers with ids of their own; equal ones are one request already
    if _used(one) != _used(other):
        return _says_nothing(one) or _says_nothing(other)
    return any(_used(one)) or one["status"] == other["status"]


def _says_nothing(fields: Mapping[str, object]) -> bool:
    return not any(_used(fields)) and fields["status"] == "success"


def _used(fields: Mapping[str, object]) -> tuple[object, object]:
    return fields["input_tokens"], fields["output_tokens"]


def _is_own(fields: Mapping[str, object]) -> bool:
    return str(fields["id"]).startswith(OWN_ID)


def _same_id(seen: Sequence[Seen], groups: "_Groups") -> None:
    known: dict[object, int] = {}
    for n, one in enumerate(seen):
        if isinstance(one.fields, dict):
            for id_ in _ids(one.fields):
                groups.join(known.setdefault(id_, n), n)


def _ids(fields: Mapping[str, object]) -> list[object]:
    others = fields["other_ids"]
    return [fields["id"], *(others if isinstance(others, list) else ())]


class _Groups:
    """Which of some numbers belong together."""

    def __init__(self, count: int) -> None:
        self._of = list(range(count))

    def join(self, one: int, other: int) -> None:
        kept, gone = sorted((self._first(one), self._first(other)))
        self._of[gone] = kept

    def _first(self, number: int) -> int:
        while self._of[number] != number:
            self._of[number] = self._of[self._of[number]]
            number = self._of[number]
        return number

    def found(self) -> list[tuple[int, list[int]]]:
        """Each group's first number and all of them."""
        members: dict[int, list[int]] = {}
        for n in range(len(self._of)):
            members.setdefault(self._first(n), []).append(n)
        return list(members.items())


def _merged(twins: Sequence[dict[str, object]]) -> dict[str, object]:
    """One request from what several spans say: of the one that counts most kinds of tokens,
    with what only the others say of whom and what for.
    """
    best = max(twins, key=lambda said: (any(_used(said)), len(said.keys() & _USAGE)))
    others = {k: v for fields in reversed(twins) for k, v in fields.items() if k not in _USAGE}
    ids = dict.fromkeys(id_ for fields in (best, *twins) for id_ in _ids(fields))
    ordered = sorted(ids, key=lambda id_: str(id_).startswith(OWN_ID))
    return {**others, **best, "id": ordered[0], "other_ids": ordered[1 : MAX_IDS + 1]}


_USAGE = frozenset(TOKEN_CLASSES)
