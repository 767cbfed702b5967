"""Which budgets a call is under, and in which of their periods."""

import json
from typing import Any

import pytest
from spendbeat_gateway.guard.rules import Matched, Rules

from tests.support.guards import budget

DAY = 86_400.0
NOW = 1_795_000_000.0
THIS = {"first": "this", "starts": NOW - DAY, "ends": NOW + DAY}
NEXT = {"first": "next", "starts": NOW + DAY, "ends": NOW + 3 * DAY}


def rules(*budgets: dict[str, Any], **more: Any) -> Rules:
    return Rules(json.dumps({"version": "v", "budgets": budgets, **more}))


def match(
    known: Rules, said: dict[str, object], now: float = NOW, *, model: str = "gpt-4o"
) -> Matched:
    return known.match(said, "openai", model, now)


def names(known: Rules, said: dict[str, object], *, model: str = "gpt-4o") -> list[str]:
    return [one.name for one in match(known, said, model=model).budgets]


def test_a_call_is_under_the_budgets_whose_keys_it_all_has() -> None:
    known = rules(
        budget(1),
        budget(2, "project=shop"),
        budget(3, "project=shop", "model=gpt-4o"),
        budget(4, "project=shop", "model=other"),
        budget(5, "tag=urgent", "provider=openai"),
    )
    assert names(known, {}) == ["b1"]
    assert names(known, {"project": "shop"}) == ["b1", "b2", "b3"]
    assert names(known, {"project": "shop", "tags": ["x", "urgent"]}) == ["b1", "b2", "b3", "b5"]
    assert names(known, {"project": "shopping", "team": "shop"}) == ["b1"]


def test_names_are_compared_as_the_ledger_writes_them() -> None:
    known = rules(budget(1, "project=shop"), budget(2, "user_id=7"), budget(3, "model=gpt-4o"))
    said: dict[str, object] = {"project": " shop ", "user_id": 7, "team": None}
    assert names(known, said, model="openai/gpt-4o") == ["b1", "b2", "b3"]


def test_a_list_of_tags_a_text_of_them_and_strange_values() -> None:
    known = rules(budget(1, "tag=a"), budget(2, "tag=b"), budget(3, "project=p"))
    assert names(known, {"tags": "a, b"}) == ["b1", "b2"]
    assert names(known, {"tags": ["a", 7, None]}) == ["b1"]
    assert names(known, {"project": ["p"], "tags": {"a": 1}}) == []


def test_a_number_as_a_tag_is_its_text() -> None:
    assert names(rules(budget(1, "tag=2026")), {"tags": [2026]}) == ["b1"]


def test_a_tag_that_names_a_field_is_that_field_as_in_the_ledger() -> None:
    known = rules(budget(1, "project=shop"), budget(2, "tag=project:shop"))
    assert names(known, {"tags": ["project:shop"]}) == ["b1"]


def test_equal_values_of_other_kinds_are_not_taken_for_each_other() -> None:
    known = rules(budget(1, "user_id=1"))
    assert names(known, {"user_id": 1.0}) == []
    assert names(known, {"user_id": 1}) == ["b1"]


@pytest.mark.parametrize("said", [{"user_id": 42}, {"user_id": " 42 ", "team": " "}])
def test_attribution_rules_see_values_as_the_ledger_writes_them(said: dict[str, object]) -> None:
    rule = {
        "id": 1,
        "match_field": "user_id",
        "match_value": "42",
        "set_field": "team",
        "set_value": "search",
        "priority": 0,
        "from": None,
        "to": None,
    }
    assert names(rules(budget(1, "team=search"), attribution=[rule]), said) == ["b1"]


def test_rates_are_matched_like_budgets() -> None:
    rate = {"id": 3, "name": "slow", "keys": ["agent=crawler"], "per_minute": 60}
    found = match(rules(rates=[rate]), {"agent": "crawler"})
    assert found.limits == "3=60"
    assert bool(found)
    assert not match(rules(rates=[rate]), {"agent": "other"})


def test_a_throttle_names_the_counter_it_looks_at() -> None:
    known = rules(budget(1), budget(2, enforce="throttle", per_minute=5), budget(9, per_minute=7))
    found = match(known, {})
    assert found.names == "1.1:2026-11-01 2.1:2026-11-01 9.1:2026-11-01"
    assert found.limits == "b2=5=2"


@pytest.mark.parametrize(
    ("now", "first"),
    [
        (NOW, "this"),
        (NOW + DAY - 0.001, "this"),
        (NOW + DAY, "next"),
        (NOW - 2 * DAY, "this"),  # a clock that is slow
    ],
)
def test_the_period_is_that_of_the_moment(now: float, first: str) -> None:
    assert match(rules(budget(1, periods=[THIS, NEXT])), {}, now).names == f"1.1:{first}"


def test_a_period_that_ends_is_left_though_the_same_call_was_matched_before() -> None:
    known = rules(budget(1, periods=[THIS, NEXT]))
    assert match(known, {}, NOW).names == "1.1:this"
    assert match(known, {}, NOW + DAY).names == "1.1:next"


def test_rules_that_are_too_old_to_know_the_period_say_so() -> None:
    found = match(rules(budget(1, periods=[THIS, NEXT])), {}, NOW + 9 * DAY)
    assert found.old
    assert found.names == ""


def test_a_range_that_is_over_or_yet_to_come_asks_nothing() -> None:
    known = rules(budget(1, periods=[THIS]))
    assert match(known, {}, NOW).names == "1.1:this"
    for now in (NOW - 2 * DAY, NOW + DAY):
        found = match(known, {}, now)
        assert not found
        assert not found.old


def test_what_attribution_rules_fill_in_counts() -> None:
    rule = {
        "id": 1,
        "match_field": "api_key",
        "match_value": "key-*",
        "set_field": "project",
        "set_value": "shop",
        "priority": 0,
        "from": NOW,
        "to": NOW + 10,
    }
    known = rules(budget(1, "project=shop"), attribution=[rule])
    said: dict[str, object] = {"api_key": "key-7"}
    assert not match(known, said, NOW - 1)
    assert match(known, said, NOW)
    assert not match(known, said, NOW + 10)


def test_the_ceiling_is_the_highest_and_one_budget_is_enough_to_block() -> None:
    known = rules(
        budget(1, unpriced="ceiling", ceiling="1.5"),
        budget(2, unpriced="ceiling", ceiling="20"),
        budget(3, unpriced="allow", ceiling="900"),
        budget(4, "project=strict", unpriced="block"),
    )
    assert match(known, {}).ceiling == 20
    assert match(known, {}).blocks_unpriced is None
    blocking = match(known, {"project": "strict"}).blocks_unpriced
    assert blocking is not None
    assert blocking.name == "b4"
