"""Sums in the shapes of LiteLLM's proxy: its names, its floats.

What LiteLLM has and nobody counts here (requests by outcome, times, savings, groups of models) is
left out rather than said to be 0. `unpriced` is ours: requests that are in no `spend`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

FIGURES = (
    "requests", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
    "cache_write_1h_tokens", "unpriced", "total_cost",
)  # fmt: skip
NOBODY = "Unassigned"
Sums = dict[str, int | Decimal]
Groups = Iterable[tuple[tuple[str | None, ...], Sums]]


@dataclass
class _Part:
    """The sums of one model, provider, key or other, and those of each key in it."""

    sums: Sums = field(default_factory=lambda: defaultdict(int))
    keys: dict[str, Sums] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))

    def add(self, key: str | None, sums: Sums) -> None:
        _add(self.sums, sums)
        _add(self.keys[key or NOBODY], sums)


@dataclass
class _Day:
    sums: Sums = field(default_factory=lambda: defaultdict(int))
    parts: dict[str, dict[str, _Part]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(_Part))
    )


def activity(models: Groups, entities: Groups) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """`results`, the newest day first, and the totals of `metadata`.

    models: by day, provider, model and key; each request is in one. entities: by day, whoever it
    is about, and key; with tags a request may be in several.
    """
    days: dict[str, _Day] = defaultdict(_Day)
    whole: Sums = defaultdict(int)
    for (day, provider, model, key), sums in models:
        found = days[str(day)]
        _add(whole, sums)
        _add(found.sums, sums)
        found.parts["models"][model or NOBODY].add(key, sums)
        found.parts["providers"][provider or NOBODY].add(key, sums)
        found.parts["api_keys"][key or NOBODY].add(key, sums)
    for (day, entity, key), sums in entities:
        days[str(day)].parts["entities"][entity or NOBODY].add(key, sums)
    totals = {_total(name): value for name, value in metrics(whole).items()}
    return [_as_json(day, found) for day, found in sorted(days.items(), reverse=True)], totals


def metrics(sums: Mapping[str, int | Decimal]) -> dict[str, Any]:
    """SpendMetrics as far as it is counted here."""
    of = {name: sums.get(name, 0) for name in FIGURES}
    return {
        "spend": float(of["total_cost"]),
        "prompt_tokens": int(of["input_tokens"]),
        "completion_tokens": int(of["output_tokens"]),
        "total_tokens": int(of["input_tokens"] + of["output_tokens"]),
        "cache_read_input_tokens": int(of["cache_read_tokens"]),
        "cache_creation_input_tokens": int(of["cache_write_tokens"] + of["cache_write_1h_tokens"]),
        "api_requests": int(of["requests"]),
        "unpriced": int(of["unpriced"]),
    }


def by_key(groups: Groups) -> list[dict[str, Any]]:
    """Rows of a spend report by key, the dearest first. groups: by key and model."""
    keys: dict[str, _Part] = defaultdict(_Part)
    for (key, model), sums in groups:
        # Here the parts of a key are its models.
        keys[key or NOBODY].add(model, sums)
    rows = [
        {
            "api_key": key,
            **_report(found.sums),
            "model_details": [
                {"model": model, **_report(sums)} for model, sums in found.keys.items()
            ],
        }
        for key, found in keys.items()
    ]
    return sorted(rows, key=lambda row: (-row["total_cost"], row["api_key"]))


def by_team(groups: Groups) -> list[dict[str, Any]]:
    """Rows of a spend report by day and team, the oldest first. groups: day, team, model, key."""
    days: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    exact: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for (day, team, model, key), sums in groups:
        name = team or NOBODY
        exact[str(day), name] += sums["total_cost"]
        days[str(day)][name].append({
            "model": model,
            "api_key": key or NOBODY,
            "spend": float(sums["total_cost"]),
            "total_tokens": int(sums["input_tokens"] + sums["output_tokens"]),
            "unpriced": int(sums["unpriced"]),
        })  # fmt: skip
    return [
        {
            "group_by_day": f"{day}T00:00:00+00:00",
            "teams": [
                {"team_name": team, "total_spend": float(exact[day, team]), "metadata": said}
                for team, said in teams.items()
            ],
        }
        for day, teams in sorted(days.items())
    ]


def _as_json(day: str, found: _Day) -> dict[str, Any]:
    return {
        "date": day,
        "metrics": metrics(found.sums),
        "breakdown": {
            name: {of: _part(part, keys=name != "api_keys") for of, part in parts.items()}
            for name, parts in found.parts.items()
        },
    }


def _part(part: _Part, *, keys: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"metrics": metrics(part.sums), "metadata": {}}
    if keys:
        said["api_key_breakdown"] = {
            key: {"metrics": metrics(sums), "metadata": {}} for key, sums in part.keys.items()
        }
    return said


def _report(sums: Sums) -> dict[str, Any]:
    return {
        "total_cost": float(sums["total_cost"]),
        "total_input_tokens": int(sums["input_tokens"]),
        "total_output_tokens": int(sums["output_tokens"]),
        "unpriced": int(sums["unpriced"]),
    }


def _total(name: str) -> str:
    return name if name.startswith("total_") else f"total_{name}"


def _add(to: Sums, sums: Sums) -> None:
    for name, value in sums.items():
        to[name] += value
