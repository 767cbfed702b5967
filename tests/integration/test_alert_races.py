"""Whoever looks at the same time, and wherever it ends: each crossing is told once."""

from typing import Any

import pytest
from sqlalchemy import TextClause, text

from spend.alerts import judging, states
from spend.sql import queries, query
from tests.support import checkers
from worker.database import transaction

_KEY = "ON CONFLICT ON CONSTRAINT uq_budget_alerts_crossing DO NOTHING"


def test_sixteen_checkers_at_once_that_give_up_anywhere_tell_each_crossing_once(
    database: str,
) -> None:
    """Of shards, of time and of everything; spend swings around the lines meanwhile."""
    told = checkers.storm(database, rounds=70, giving_up=51)
    assert not told.errors
    assert not told.twice
    assert told.reached <= told.raised.keys() <= told.ever
    assert told.open == told.reached
    assert told.messages == told.raised
    assert not told.disordered
    assert told.gave_up > 50
    assert len(told.raised.keys() - told.reached) > 2, "nothing fell: this test would see less"


def test_checkers_without_the_lock_and_the_keys_are_caught(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what holds a budget, and what is unique, are what the test above sees."""

    def careless(subject: str, name: str) -> TextClause:
        if name == "hold":
            return text("SELECT WHERE CAST(:ids AS integer[]) IS NULL")
        if name == "raise":
            return text(queries(subject)[name].replace(_KEY, ""))
        return query(subject, name)

    monkeypatch.setattr(judging, "query", careless)
    monkeypatch.setattr(states, "query", careless)
    drop: list[Any] = ["budget_alerts DROP CONSTRAINT uq_budget_alerts_crossing"]
    drop += ["budget_checks DROP CONSTRAINT pk_budget_checks"]
    for constraint in drop:
        with transaction("spendbeat_owner") as session:
            session.execute(text(f"ALTER TABLE {constraint}"))
    assert checkers.storm(database, rounds=25).twice
