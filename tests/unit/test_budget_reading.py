"""A budget as people write it, and what is refused before it is kept."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from spend.budgets import files, reading
from spend.budgets.checking import check
from spend.budgets.definition import DEFAULT_THRESHOLDS, Definition, Threshold
from spend.errors import BadInputError

FULL = {
    "name": "shop",
    "scope": {"user": "ann", "tag": "urgent"},
    "period": "week",
    "zone": "Asia/Kathmandu",
    "week_start": "Sunday",
    "soft_limit": 0.1,
    "hard_limit": "$100",
    "thresholds": [
        "80%",
        {"at": 50, "basis": "forecast", "severity": "critical", "channels": ["ops", "mail"]},
    ],
    "raise": {"by": 20, "until": date(2026, 12, 1)},
    "note": "launch",
}


def test_every_field_is_read() -> None:
    assert reading.read(FULL) == Definition(
        "shop",
        {"user_id": "ann", "tag": "urgent"},
        "week",
        "Asia/Kathmandu",
        7,
        None,
        None,
        Decimal("0.1"),
        Decimal(100),
        (
            Threshold(Decimal(80)),
            Threshold(None, Decimal(50), "forecast", "critical", ("ops", "mail")),
        ),
        Decimal(20),
        datetime(2026, 11, 30, 18, 15, tzinfo=UTC),
        "launch",
    )


def test_what_is_written_is_read_again_as_the_same() -> None:
    definition = reading.read(FULL)
    assert reading.read(reading.written(definition)) == definition
    days = reading.read({"name": "r", "period": "range", "from": "2026-11-20", "to": "2026-12-01"})
    assert reading.read(reading.written(days)) == days


def test_what_is_not_said_stays_and_none_takes_away() -> None:
    before = reading.read(FULL)
    after = reading.read({"soft_limit": "none", "raise": None, "thresholds": "none"}, before)
    assert (after.soft_limit, after.raise_by, after.raise_until, after.thresholds) == (
        None,
        None,
        None,
        (),
    )
    assert (after.name, after.scope, after.hard_limit) == ("shop", before.scope, 100)
    assert reading.read({"name": "new"}).thresholds == DEFAULT_THRESHOLDS


def test_a_range_that_becomes_a_month_loses_its_dates() -> None:
    days = reading.read({"name": "r", "period": "range", "from": "2026-11-20", "to": "2026-12-01"})
    month = reading.read({"period": "month"}, days)
    assert (month.starts_on, month.ends_on) == (None, None)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"limit": 5}, "no 'limit'"),
        ({"hard_limit": "1,000"}, "not an amount"),
        ({"hard_limit": True}, "not an amount"),
        ({"zone": "Mars/Olympus"}, "IANA"),
        ({"zone": "../etc/passwd"}, "IANA"),
        ({"week_start": 1}, "monday"),
        ({"from": "tomorrow"}, "not a date"),
        ({"scope": ["shop"]}, "FIELD: VALUE"),
        ({"scope": {"project": ["a", "b"]}}, "one text"),
        ({"thresholds": "80%"}, "a list"),
        ({"thresholds": ["80%,loud"]}, "'loud' says nothing"),
        ({"thresholds": [{"at": "80%", "who": "ops"}]}, "no 'who'"),
        ({"raise": 5}, "by, an amount"),
        ({"raise": {"by": 5, "until": "soon"}}, "not a date"),
        ({"name": 7}, "not a text"),
        ({"period": "range", "from": "0001-01-01", "zone": "Asia/Tokyo"}, "from 0001 is not"),
        ({"raise": {"by": 1, "until": "0001-01-01"}, "zone": "Asia/Tokyo"}, "until 0001 is not"),
        ({"raise": {"by": 1, "until": "9999-12-31T23:59:59-12:00"}}, "until 9999 is not"),
        ({"thresholds": [f"80%,escalate={'9' * 5000}m"]}, "not a time"),
    ],
)
def test_what_cannot_be_read_is_named(said: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        reading.read({"name": "b", **said})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"name": " b"}, "spaces"),
        ({"name": "12"}, "digits"),
        ({"scope": {"colour": "red"}}, "cannot have 'colour'"),
        ({"scope": {"project": " shop"}}, "without spaces"),
        ({"scope": {"tag": "project:shop"}}, "project=shop"),
        ({"period": "decade"}, "choose from day"),
        ({"from": "2026-11-01", "to": "2026-12-01"}, "use range"),
        ({"period": "range", "from": "2026-11-01"}, "needs the day"),
        ({"period": "range", "from": "2026-11-01", "to": "2026-11-01"}, "end after"),
        ({"soft_limit": 200}, "above its hard limit"),
        ({"hard_limit": 0}, "above 0"),
        ({"hard_limit": "NaN"}, "above 0"),
        ({"hard_limit": "sNaN"}, "above 0"),
        ({"hard_limit": "1e999999"}, "above 0"),
        ({"hard_limit": "0.0000000000001"}, "12 places"),
        ({"hard_limit": "1.0000000000000000000000000000000000001"}, "12 places"),
        ({"note": "a\0b"}, "a note has no"),
        ({"note": "a\x1b[2Jb"}, "a note has no"),
        ({"note": "a" * 2001}, "a note has"),
        ({"thresholds": [f"{n}%" for n in range(1, 52)]}, "50 thresholds"),
        ({"thresholds": ["80%,channel=a\0b"]}, "channel's name"),
        ({"hard_limit": None}, "needs a limit"),
        ({"thresholds": ["80%", "80%"]}, "twice"),
        ({"thresholds": ["0%"]}, "above 0"),
        ({"period": "total", "thresholds": ["80%,forecast"]}, "no end"),
        (
            {"hard_limit": None, "thresholds": [], "raise": {"by": 1, "until": "2026-12-01"}},
            "no limit to raise",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        check(reading.read({"name": "b", "hard_limit": 100, **said}))


def test_a_raise_is_on_top_of_both_limits_until_it_ends() -> None:
    definition = reading.read({**FULL, "soft_limit": 50})
    end = datetime(2026, 11, 30, 18, 15, tzinfo=UTC)
    before = end.replace(minute=14)
    assert (definition.soft(before), definition.hard(before), definition.limit(before)) == (
        70,
        120,
        120,
    )
    assert (definition.soft(end), definition.limit(end)) == (50, 100)
    threshold = definition.thresholds[0]
    assert threshold.dollars(definition.limit(before)) == 96
    assert definition.thresholds[1].dollars(None) == 50


def test_only_what_decides_about_spend_is_in_the_digest() -> None:
    base = reading.read(FULL)
    for said in ({"name": "x"}, {"hard_limit": 7}, {"note": "x"}, {"thresholds": []}):
        assert reading.read(said, base).digest == base.digest
    for said in (
        {"scope": {}},
        {"period": "day"},
        {"zone": "UTC"},
        {"week_start": "monday"},
        {"scope": {"user": "ann", "tag": "other"}},
    ):
        assert reading.read(said, base).digest != base.digest
    month = reading.read({"period": "month"}, base)
    assert month.digest == reading.read({"week_start": "monday"}, month).digest


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("budgets: [", "not YAML"),
        ("- name: b", "one key, budgets"),
        ("budgets: {name: b}", "is a list"),
        ("budgets: [b]", "Budget 1: A budget is"),
        ("budgets: [{hard_limit: 5}]", "needs a name"),
        ("budgets: [{name: b, hard_limit: x}]", "Budget 'b': hard_limit"),
        ("budgets: [{name: b, state: removed}]", "active or paused"),
        ("budgets: [{name: b}, {name: b}]", "there twice"),
        ("budgets: [{name: !!python/object/apply:os.getcwd []}]", "not YAML"),
    ],
)
def test_a_file_with_a_mistake_says_where(source: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        files.parse(source)


def test_an_empty_list_of_budgets_is_fine() -> None:
    assert files.parse("budgets:\n") == []
