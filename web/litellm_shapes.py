"""Sums in the shapes of LiteLLM's proxy: its names, its floats.

What LiteLLM has and nobody counts here (requests by outcome, times, savings, groups of models) is
left out rather than said to be 0. `unpriced` is ours: requests that are in no `spend`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

FIGURES = (
    "requests", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
    "cache_write_1h_tokens", "unpriced", "total_cost",
)  # fmt: skip
NOBODY = "Unassigned"
# In the order of FIGURES; the last one is the exact cost.
Sums = Sequence[Any]
Groups = Sequence[tuple[tuple[str | None, ...], Sums]]


def _none() -> list[Any]:
    return [0] * (len(FIGURES) - 1) + [Decimal(0)]


@dataclass
class _Part:
    """The sums of one model, provider, key or other, and those of each key in it."""

    sums: list[Any] = field(default_factory=_none)
    keys: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(_none))

    def add(self, key: str, sums: Sums) -> None:
        _add(self.sums, sums)
        _add(self.keys[key], sums)


@dataclass
class _Day:
    sums: list[Any] = field(default_factory=_none)
    parts: dict[str, dict[str, _Part]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(_Part))
    )


def activity(models: Groups, entities: Groups) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """`results`, the newest day first, and the totals of `metadata`.

    models: by day, provider, model and key; each request is in one. entities: by day, whoever it
    is about, and key; with tags a request may be in several.
    """
    days: dict[str, _Day] = defaultdict(_Day)
    whole = _none()
    for (day, provider, model, key), sums in models:
        found, of = days[str(day)], key or NOBODY
        found.parts["models"][model or NOBODY].add(of, sums)
        found.parts["providers"][provider or NOBODY].add(of, sums)
        _add(found.parts["api_keys"][of].sums, sums)
    for found in days.values():
        # Each request is in one provider.
        for part in found.parts["providers"].values():
            _add(found.sums, part.sums)
        _add(whole, found.sums)
    for (day, entity, key), sums in entities:
        days[str(day)].parts["entities"][entity or NOBODY].add(key or NOBODY, sums)
    totals = {_total(name): value for name, value in metrics(whole).items()}
    return [_as_json(day, found) for day, found in sorted(days.items(), reverse=True)], totals


def metrics(sums: Sums) -> dict[str, Any]:
    """SpendMetrics as far as it is counted here."""
    requests, prompts, answers, read, written, written_1h, unpriced, cost = sums
    return {
        "spend": float(cost),
        "prompt_tokens": int(prompts),
        "completion_tokens": int(answers),
        "total_tokens": int(prompts + answers),
        "cache_read_input_tokens": int(read),
        "cache_creation_input_tokens": int(written + written_1h),
        "api_requests": int(requests),
        "unpriced": int(unpriced),
    }


def by_key(groups: Groups) -> list[dict[str, Any]]:
    """Rows of a spend report by key, the dearest first. groups: by key and model."""
    keys: dict[str, _Part] = defaultdict(_Part)
    for (key, model), sums in groups:
        # Here the parts of a key are its models.
        keys[key or NOBODY].add(model or NOBODY, sums)
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
        said = metrics(sums)
        exact[str(day), name] += sums[-1]
        days[str(day)][name].append({
            "model": model,
            "api_key": key or NOBODY,
            "spend": said["spend"],
            "total_tokens": said["total_tokens"],
            "unpriced": said["unpriced"],
        })  # fmt: skip
    return [
        {
            "group_by_day": f"{day}T00:00:00+00:00",
            "teams": [
                {"team_name": team, "total_spend": float(exact[day, team]), "metadata": models}
                for team, models in teams.items()
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
    said = metrics(sums)
    return {
        "total_cost": said["spend"],
        "total_input_tokens": said["prompt_tokens"],
        "total_output_tokens": said["completion_tokens"],
        "unpriced": said["unpriced"],
    }


def _total(name: str) -> str:
    return name if name.startswith("total_") else f"total_{name}"


def _add(to: list[Any], sums: Sums) -> None:
    for number, value in enumerate(sums):
        to[number] += value
