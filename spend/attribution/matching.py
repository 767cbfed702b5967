"""What rules say about one request. No database: rules come in, the fields they fill come out."""

from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from models import ATTRIBUTION_FIELDS
from spend.attribution.mix import Mix

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CACHED = 1 << 16
_EXACT = -1


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests that have `match_value` in `match_field` and do not say `set_field` get `set_value`.

    A match value that ends in * is a beginning. The rule holds for requests that began from
    valid_from up to, not including, valid_to; None is no bound.
    """

    id: int
    match_field: str
    match_value: str
    set_field: str
    set_value: str
    priority: int = 0
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    created_at: datetime | None = None
    created_by: str = ""

    @property
    def prefix(self) -> str | None:
        """What a matching value begins with; None where it has to be equal."""
        return self.match_value[:-1] if self.match_value.endswith("*") else None

    @property
    def rank(self) -> tuple[int, bool, int, int]:
        """The lowest goes first: priority, exact before beginning, longer before shorter, new."""
        return -self.priority, self.prefix is not None, -len(self.match_value), -self.id

    def overlaps(self, other: "Rule") -> bool:
        """Whether there is a time at which both hold."""
        return _before(self.valid_from, other.valid_to) and _before(other.valid_from, self.valid_to)


class Filled(NamedTuple):
    """A field that a rule filled."""

    field: str
    value: str
    rule: Rule


class Rules:
    """All rules, ready to be applied to many requests."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        # (field, length of the beginning or _EXACT, text) to the rules that ask for it.
        self._found: dict[tuple[str, int, str], list[_Timed]] = {}
        self._lengths: dict[str, list[int]] = {}
        cuts: set[int] = set()
        for rule in rules:
            timed = _Timed(_micros(rule.valid_from, 0), _micros(rule.valid_to, 1 << 62), rule)
            cuts |= {timed.start, timed.end}
            length = _EXACT if rule.prefix is None else len(rule.prefix)
            text = rule.match_value if rule.prefix is None else rule.prefix
            self._found.setdefault((rule.match_field, length, text), []).append(timed)
            lengths = self._lengths.setdefault(rule.match_field, [])
            if length not in lengths:
                lengths.append(length)
        self._cuts = sorted(cuts)
        self._by_provider = "provider" in self._lengths
        self._by_model = "model" in self._lengths
        self._cache: dict[tuple[Mix, str, str, int], Mix] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def apply(self, mix: Mix, provider: str, model: str, started_us: int) -> Mix:
        """The mix with what rules know of the fields that it lacks."""
        if not self._found:
            return mix
        key = (
            mix,
            provider if self._by_provider else "",
            model if self._by_model else "",
            bisect(self._cuts, started_us),
        )
        found = self._cache.get(key)
        if found is None:
            filled = self.explain(mix, provider, model, started_us)
            found = Mix(**{**mix._asdict(), **{each.field: each.value for each in filled}})
            if len(self._cache) >= _CACHED:
                self._cache.clear()  # some field has a value per request
            self._cache[key] = found
        return found

    def explain(self, mix: Mix, provider: str, model: str, started_us: int) -> list[Filled]:
        """The fields that apply() fills, in the order in which they are.

        What one rule fills, another may match: a key leads to a project, the project to an
        organization. Each field is filled once, so this ends.
        """
        said: dict[str, Sequence[str]] = {"tag": mix.tags, "provider": [provider], "model": [model]}
        for field in ATTRIBUTION_FIELDS:
            value = getattr(mix, field)
            said[field] = () if value is None else [value]
        done: list[Filled] = []
        while found := self._fill(said, started_us):
            for field, rule in found.items():
                said[field] = [rule.set_value]
                done.append(Filled(field, rule.set_value, rule))
        return done

    def _fill(self, said: dict[str, Sequence[str]], started_us: int) -> dict[str, Rule]:
        """For each field that is missing, the first of the rules that match what is said."""
        best: dict[str, Rule] = {}
        for rule in self._matching(said, started_us):
            field = rule.set_field
            if not said[field] and (field not in best or rule.rank < best[field].rank):
                best[field] = rule
        return best

    def _matching(self, said: dict[str, Sequence[str]], started_us: int) -> Iterator[Rule]:
        for field, lengths in self._lengths.items():
            for value in said[field]:
                for length in lengths:
                    text = value if length == _EXACT else value[:length]
                    for timed in self._found.get((field, length, text), ()):
                        if timed.start <= started_us < timed.end:
                            yield timed.rule


class _Timed(NamedTuple):
    """A rule and the microseconds since 1970 from which and up to which it holds."""

    start: int
    end: int
    rule: Rule


def _micros(moment: datetime | None, otherwise: int) -> int:
    return otherwise if moment is None else (moment - _EPOCH) // _MICROSECOND


def _before(start: datetime | None, end: datetime | None) -> bool:
    return start is None or end is None or start < end
