"""Rules fill what a request does not say, by what it does say and when it began."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spend.attribution.matching import Rule, Rules
from spend.attribution.mix import NOBODY, Mix

OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
KEY = Mix(api_key="prod-frontend")


def us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


NOW = us(datetime(2026, 11, 21, tzinfo=UTC))


def rule(id_: int, match: str, fill: str, **more: object) -> Rule:
    """Match and fill are written FIELD=VALUE."""
    return Rule(id_, *match.split("="), *fill.split("="), **more)  # type: ignore[arg-type]


def filled(rules: list[Rule], mix: Mix = KEY, at: int = NOW) -> Mix:
    return Rules(rules).apply(mix, "openai", "gpt-4o", at)


def test_a_field_that_is_missing_is_filled_and_one_that_is_said_stays() -> None:
    rules = [rule(1, "api_key=prod-frontend", "project=shop")]
    assert filled(rules) == KEY._replace(project="shop")
    assert filled(rules, KEY._replace(project="lab")).project == "lab"
    assert filled(rules, Mix(api_key="prod-frontend-2")).project is None
    assert filled(rules, NOBODY) == NOBODY


def test_a_rule_holds_from_its_first_to_its_last_microsecond() -> None:
    rules = [
        rule(1, "api_key=prod-frontend", "project=shop", valid_from=OCTOBER, valid_to=DECEMBER)
    ]
    begin, end = us(OCTOBER), us(DECEMBER)
    # One object, so that what it remembers of one time does not answer for another.
    ready = Rules(rules)
    found = [ready.apply(KEY, "p", "m", at).project for at in (begin - 1, begin, end - 1, end)]
    assert found == [None, "shop", "shop", None]


def test_tags_provider_and_model_can_be_matched_also_by_their_beginning() -> None:
    tagged = Mix(tags=("env:prod", "x"))
    assert filled([rule(1, "tag=x", "team=core")], tagged).team == "core"
    assert filled([rule(1, "tag=env:*", "team=core")], tagged).team == "core"
    assert filled([rule(1, "tag=en", "team=core")], tagged).team is None
    assert filled([rule(1, "provider=openai", "team=core")], NOBODY).team == "core"
    assert filled([rule(1, "model=gpt-*", "team=core")], NOBODY).team == "core"
    assert filled([rule(1, "model=gpt-4o-mini*", "team=core")], NOBODY).team is None
    assert filled([rule(1, "model=*", "team=core")], NOBODY).team == "core"


def test_the_provider_is_not_forgotten_between_two_requests_of_one_mix() -> None:
    ready = Rules([rule(1, "provider=openai", "team=core"), rule(2, "model=m2", "agent=b")])
    assert [
        ready.apply(KEY, p, m, NOW)[3:6] for p, m in (("openai", "m"), ("x", "m"), ("x", "m2"))
    ] == [
        (None, None, "core"),
        (None, None, None),
        ("b", None, None),
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"priority": 1, "match_value": "*"}, {"match_value": "prod-frontend"}),
        ({"match_value": "prod-frontend"}, {"match_value": "prod-frontend*"}),
        ({"match_value": "prod-*"}, {"match_value": "prod*"}),
    ],
)
def test_the_more_specific_rule_goes_first_whatever_their_order(
    first: dict[str, object], second: dict[str, object]
) -> None:
    for ids in ((1, 2), (2, 1)):
        rules = [
            Rule(id_, "api_key", set_field="project", set_value=value, **more)  # type: ignore[arg-type]
            for id_, value, more in zip(ids, ("first", "second"), (first, second), strict=True)
        ]
        assert filled(rules).project == "first"
        assert filled(rules[::-1]).project == "first"


def test_of_two_that_are_as_specific_the_newer_goes_first() -> None:
    rules = [rule(1, "api_key=prod-frontend", "project=old"), rule(2, "team=a", "project=new")]
    assert filled(rules, KEY._replace(team="a")).project == "old"
    same = [rule(1, "api_key=abc", "project=old"), rule(2, "team=abc", "project=new")]
    assert filled(same, Mix(api_key="abc", team="abc")).project == "new"


def test_what_a_rule_filled_can_be_matched_by_another_and_circles_end() -> None:
    rules = [
        rule(1, "project=shop", "organization=acme"),
        rule(2, "api_key=prod-frontend", "project=shop"),
        rule(3, "organization=acme", "api_key=other"),
    ]
    ready = Rules(rules)
    assert ready.apply(KEY, "p", "m", NOW) == KEY._replace(project="shop", organization="acme")
    explained = ready.explain(KEY, "p", "m", NOW)
    assert [(f.field, f.value, f.rule.id) for f in explained] == [
        ("project", "shop", 2),
        ("organization", "acme", 1),
    ]


def test_without_rules_nothing_is_asked() -> None:
    assert not Rules()
    assert Rules([rule(1, "tag=x", "team=y")])
    assert Rules().apply(KEY, "p", "m", NOW) is KEY


some_tags = st.sampled_from([(), ("ab",), ("a", "abc")])
names = st.sampled_from(["a", "ab", "abc", None])
values = st.sampled_from(["a", "ab", "abc", "a*", "ab*", "*"])
times = st.integers(0, 6).map(
    lambda n: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=n)
)
fields = st.sampled_from(["project", "team", "user_id"])
some_rule = st.builds(
    Rule,
    st.integers(1, 100),
    st.one_of(fields, st.sampled_from(["tag", "provider", "model"])),
    values,
    fields,
    st.sampled_from(["abc", "x"]),
    st.integers(-1, 1),
    st.none() | times,
    st.none() | times,
)


@given(
    st.lists(some_rule, max_size=8, unique_by=lambda r: r.id),
    st.builds(Mix, project=names, team=names, user_id=names, tags=some_tags),
    st.lists(st.integers(0, 6), min_size=2, max_size=2),
)  # fmt: skip
def test_it_does_what_a_plain_reading_of_the_rules_does(
    rules: list[Rule], mix: Mix, moments: list[int]
) -> None:
    """Beside a loop over all rules, asked twice, so that what is remembered is looked at too."""
    ready = Rules(rules)
    for at in moments:
        assert ready.apply(mix, "ab", "abc", at) == plainly(rules, mix, at)


def plainly(rules: list[Rule], mix: Mix, at: int) -> Mix:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
    found = dict(mix._asdict())

    def says(rule: Rule) -> list[str]:
        more = {"tag": mix.tags, "provider": ["ab"], "model": ["abc"]}
        said = more.get(rule.match_field, [found.get(rule.match_field)])
        return [value for value in said if value is not None]

    def matches(rule: Rule) -> bool:
        begun = rule.valid_from is None or rule.valid_from <= moment
        ended = rule.valid_to is not None and rule.valid_to <= moment
        want = rule.match_value
        exact = not want.endswith("*")
        return (
            begun
            and not ended
            and any(value == want if exact else value.startswith(want[:-1]) for value in says(rule))
        )

    while True:
        step: dict[str, str] = {}
        for rule in sorted(rules, key=lambda r: r.rank):
            if found[rule.set_field] is None and matches(rule):
                step.setdefault(rule.set_field, rule.set_value)
        if not step:
            return Mix(**found)
        found |= step
