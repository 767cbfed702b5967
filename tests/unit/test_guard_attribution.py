"""What the guard takes a call to be for is what the ledger will say of it."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from spendbeat_gateway import event, litellm_attribution, litellm_payload
from spendbeat_gateway.guard.attributing import FIELDS, fill

from models import ATTRIBUTION_FIELDS
from spend.attribution.matching import Rule, Rules
from spend.attribution.mix import Mix
from spend.capture.litellm import request
from spend.capture.litellm.attribution import attribution as booked
from spend.capture.litellm.naming import provider_and_model as named

CAPTURED = Path(__file__).parent / "captured" / "litellm_1_106_2.json"
words = st.sampled_from(["alpha", "beta", "sk-abcdefgh1234", " x ", "", "project:alpha", "a:b"])
values = st.one_of(st.none(), words, st.integers(0, 3), st.lists(words, max_size=2))
names = st.sampled_from(
    [
        "project",
        "team",
        "user",
        "org",
        "agent",
        "api_key",
        "user_api_key_alias",
        "sprint",
        "user_api_key_team_id",
        "user_api_key_team_alias",
        "user_api_key_user_id",
        "user_api_key",
    ]
)
tags = st.lists(
    st.sampled_from(["blue", "project:a", "Project: b", "team:", "user:u", "user_id:v", "org:o"])
    | words
    | st.just("User-Agent: x"),
    max_size=5,
)
maps = st.dictionaries(names, values, max_size=4)


def clean(said: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in said.items() if value not in (None, [], "")}


def test_the_fields_are_those_of_the_ledger() -> None:
    assert FIELDS == ATTRIBUTION_FIELDS


def test_each_captured_event_is_attributed_alike() -> None:
    payloads: dict[str, Any] = json.loads(CAPTURED.read_text())["payloads"]
    for name, payload in payloads.items():
        shipped = litellm_payload.trimmed(payload, {})
        assert clean(litellm_attribution.attribution(shipped)) == clean(booked(shipped)), name
        said = (shipped.get("custom_llm_provider"), shipped.get("model"))
        if all(said):
            assert litellm_attribution.provider_and_model(*said) == named(shipped), name


@settings(max_examples=300)
@given(maps, maps, maps, tags, tags)
def test_whatever_metadata_says_is_read_alike(
    key: dict[str, Any],
    requester: dict[str, Any],
    said: dict[str, Any],
    given_tags: list[str],
    said_tags: list[str],
) -> None:
    """What the hook sees before the call, and what the ledger reads of the event after it."""
    metadata = {**key, "requester_metadata": requester, "tags": given_tags}
    metadata["spend_logs_metadata"] = {**said, "tags": said_tags}
    made = litellm_payload.trimmed(*litellm_attribution.before({"metadata": metadata}))
    shipped = json.loads(litellm_payload.without_keys(event.text(made)))
    assert clean(litellm_attribution.attribution(made)) == clean(booked(shipped))


rule_fields = st.sampled_from(["project", "team", "agent"])
rules: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    match_field=st.sampled_from(["project", "team", "tag", "provider", "model"]),
    match_value=st.sampled_from(["a", "ab", "a*", "*", "b", "gpt*", "gpt-4o"]),
    set_field=rule_fields,
    set_value=st.sampled_from(["a", "ab", "b"]),
    priority=st.integers(0, 1),
)


@settings(max_examples=300)
@given(
    st.lists(rules, max_size=6),
    st.dictionaries(rule_fields, st.sampled_from(["a", "ab", "b"]), max_size=2),
    st.lists(st.sampled_from(["a", "ab", "b"]), max_size=2, unique=True),
)
def test_rules_fill_what_they_fill_in_the_ledger(
    made: list[dict[str, Any]], said: dict[str, str], with_tags: list[str]
) -> None:
    numbered = [{**rule, "id": number} for number, rule in enumerate(made, 1)]
    ledger = Rules(Rule(**rule) for rule in numbered)
    mix = Mix(**said, tags=tuple(sorted(with_tags)))
    expected = ledger.apply(mix, "openai", "gpt-4o", 1)
    found = fill(numbered, {**said, "tags": with_tags}, "openai", "gpt-4o", 1e-6)
    assert clean({f: getattr(expected, f) for f in FIELDS}) == clean(
        {f: found.get(f) for f in FIELDS}
    )


def test_a_rule_holds_from_its_beginning_up_to_its_end() -> None:
    rule = {"id": 1, "match_field": "team", "match_value": "t", "set_field": "project"}
    rule |= {"set_value": "p", "priority": 0, "from": 10, "to": 20}
    found = [fill([rule], {"team": "t"}, "o", "m", at).get("project") for at in (9, 10, 19.9, 20)]
    assert found == [None, "p", "p", None]


def test_the_hold_of_a_guard_is_one_of_the_ids() -> None:
    payload = next(iter(json.loads(CAPTURED.read_text())["payloads"].values()))
    for status in ("success", "failure"):
        fields = request({**payload, "status": status, "spendbeat_hold": "guard:1"})
        assert "guard:1" in fields["other_ids"]  # type: ignore[operator] # a list
        assert fields["id"] != "guard:1"
