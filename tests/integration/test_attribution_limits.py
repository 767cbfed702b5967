"""Fields whose values have no end are capped: rows stay few, what is known stays, totals exact."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from spend import attributions
from spend.attribution import limits, rules
from spend.attribution.caps import OTHER
from spend.attribution.mix import NOBODY, Mix
from spend.capture.pipeline import import_requests
from spend.errors import BadInputError
from tests.support import ledger
from tests.support.captured import counted, spendbeat
from tests.support.waiting import wait_for
from worker.database import engine, transaction

pytestmark = pytest.mark.usefixtures("database")


def resolve(*mixes: Mix) -> dict[Mix, int]:
    with transaction() as session:
        return attributions.resolve(session, mixes)


def recorded(*mixes: Mix) -> list[Mix]:
    """What the ids of mixes stand for, in their order."""
    ids = resolve(*mixes)
    with transaction("spendbeat_reader") as session:
        rows = session.execute(text("SELECT * FROM attributions")).mappings().all()
    found = {
        row["id"]: Mix(**{f: row[f] for f in Mix._fields if f != "tags"}, tags=tuple(row["tags"]))
        for row in rows
    }
    return [found[ids[mix]] for mix in mixes]


def allow(field: str, most: int | None) -> None:
    with transaction() as session:
        limits.store(session, field, most)


def limit(field: str) -> limits.Limit:
    with transaction("spendbeat_reader") as session:
        return next(found for found in limits.listed(session) if found.field == field)


def tagged(*tags: str) -> Mix:
    return Mix(project="shop", tags=tuple(sorted(tags)))


def test_values_beyond_the_limit_become_other_and_those_known_before_stay() -> None:
    allow("user_id", 2)
    ada, bob, eve = (Mix(user_id=name, team="core") for name in ("ada", "bob", "eve"))
    assert recorded(ada, bob) == [ada, bob]
    assert recorded(eve, ada) == [Mix(user_id=OTHER, team="core"), ada]
    # A known value in a new combination is no new value.
    assert recorded(Mix(user_id="ada", project="x")) == [Mix(user_id="ada", project="x")]
    assert recorded(NOBODY, Mix(user_id=OTHER)) == [NOBODY, Mix(user_id=OTHER)]
    found = limit("user_id")
    assert (found.known, found.most, found.stored, found.replaced) == (2, 2, True, 1)
    assert found.example == "eve"
    assert found.capped_since is not None
    assert limit("team").capped_since is None


def test_a_raised_limit_lets_values_in_and_the_default_comes_back() -> None:
    allow("sprint", 0)
    assert recorded(Mix(sprint="a")) == [Mix(sprint=OTHER)]
    allow("sprint", 1)
    assert limit("sprint").capped_since is None
    assert recorded(Mix(sprint="a")) == [Mix(sprint="a")]
    allow("sprint", None)
    assert (limit("sprint").most, limit("sprint").stored) == (limits.MOST, False)


def test_each_key_of_tags_has_a_limit_of_its_own_and_so_have_keys() -> None:
    allow("tag:request", 1)
    allow("tag", 1)
    assert recorded(tagged("request:1", "env:prod", "x")) == [tagged("request:1", "env:prod", "x")]
    assert recorded(tagged("request:2", "request:3", "env:test", "y")) == [
        tagged("request:(other)", "env:test", OTHER)
    ]
    allow("tag_keys", 2)
    assert recorded(tagged("env:dev", "5f3a:1", "77ab:2")) == [tagged("env:dev", OTHER)]
    with transaction("spendbeat_reader") as session:
        fields = {found.field for found in limits.listed(session)}
    assert "tag:5f3a" not in fields, "a key that was refused leaves nothing behind"


def test_all_keys_of_tags_can_have_another_limit() -> None:
    allow("tag:*", 1)
    assert recorded(tagged("a:1", "b:1")) == [tagged("a:1", "b:1")]
    assert recorded(tagged("a:2", "b:2")) == [tagged("a:(other)", "b:(other)")]
    allow("tag:a", 5)
    assert recorded(tagged("a:2")) == [tagged("a:2")]
    assert limit("tag:b").most == 1


def test_beyond_the_limit_of_combinations_agent_user_and_tags_give_way() -> None:
    allow("combinations", 3)
    first = [Mix(project="p", user_id=f"u{n}") for n in range(3)]
    assert recorded(*first) == first
    mixes = [Mix(project="p", user_id="u1", tags=(f"t{n}",)) for n in range(50)]
    assert set(recorded(*mixes)) == {Mix(project="p", user_id=OTHER, tags=(OTHER,))}
    assert recorded(Mix(project="new", team="t"), first[0]) == [
        Mix(project="new", team="t"),
        first[0],
    ]
    assert (limit("combinations").known, limit("combinations").replaced) == (5, 50)


def test_many_requests_with_a_tag_of_their_own_make_few_rows_and_no_total_moves() -> None:
    """By the import's path, and again with the same file, which is known."""
    allow("tag:request", 100)
    rows = [
        {
            "id": f"r{n}",
            "started_at": "2026-11-01T10:00:00Z",
            "provider": "openai",
            "model": "gpt-4o",
            "cost_usd": "0.000000000001",
            "team": f"team-{n % 3}",
            "tags": [f"request:{n}", f"env:{n % 2}"],
        }
        for n in range(20_000)
    ]
    summary = import_requests(engine(), rows, batch_rows=5_000)
    assert (summary.imported, summary.rejected) == (20_000, 0)
    with transaction("spendbeat_reader") as session:
        recorded = session.scalar(text("SELECT count(*) FROM attributions"))
    assert recorded == 1 + 100 + 3 * 2
    assert import_requests(engine(), rows, batch_rows=5_000).known == 20_000
    assert counted() == (20_000, 20_000, Decimal("0.00000002"))
    ledger.roll()
    lines = by("team")
    assert sum(line["requests"] for line in lines) == 20_000
    assert sum(Decimal(line["total_cost"]) for line in lines) == Decimal("0.00000002")
    assert not ledger.verify().mismatches


def by(group: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(spendbeat("spend", "--by", group, "--json").stdout)
    return found


def test_several_processes_agree_on_what_is_known() -> None:
    """Their rows are locked in one order, so none is refused and no limit is passed."""
    allow("tag", 50)
    allow("user_id", 20)

    def work(worker: int) -> None:
        for n in range(15):
            mixes = [
                Mix(user_id=f"{(n * 7 + k) % 40}", tags=(f"{worker}-{n}-{k}", f"k{k}:{n}"))
                for k in range(5)
            ]
            resolve(*(mixes if worker % 2 else mixes[::-1]))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    for field in ("tag", "user_id", "combinations"):
        with transaction("spendbeat_reader") as session:
            counts = {
                "tag": "attribution_values WHERE field = 'tag'",
                "user_id": "attribution_values WHERE field = 'user_id'",
                "combinations": "attributions WHERE id <> 0",
            }
            assert session.scalar(text(f"SELECT count(*) FROM {counts[field]}")) == (
                limit(field).known
            )
    assert (limit("tag").known, limit("user_id").known) == (50, 20)


@pytest.mark.parametrize("mix", [Mix(project="a", team="b"), Mix(agent="new")])
def test_who_comes_second_finds_what_the_first_recorded_meanwhile(mix: Mix) -> None:
    """A new combination of known values, and a new value: nothing is recorded twice or counted."""
    resolve(Mix(project="a"), Mix(team="b"))
    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            first = attributions.resolve(session, [mix])
            second = pool.submit(resolve, mix)
            wait_for(lambda: second.done() or somebody_waits(), "the second one to wait")
        assert second.result(30) == first
    assert (limit("combinations").known, limit("agent").known) == (3, int(mix.agent is not None))


def somebody_waits() -> bool:
    sql = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with transaction(None) as session:
        return bool(session.scalar(text(sql)))


def test_known_combinations_are_found_without_a_look_at_limits() -> None:
    mix = tagged("a:1")
    resolve(mix)
    with transaction() as holder:
        holder.execute(text("SELECT FROM attribution_limits FOR UPDATE"))
        with transaction() as session:
            session.execute(text("SET LOCAL lock_timeout = '1ms'"))
            assert attributions.resolve(session, [mix])[mix] > 0


@pytest.fixture
def before() -> Iterator[str]:
    with transaction("spendbeat_reader") as session:
        yield rules.version(session)


def test_whoever_remembers_ids_can_see_that_a_limit_was_set(before: str) -> None:
    resolve(tagged("a"))
    with transaction("spendbeat_reader") as session:
        assert rules.version(session) == before, "recording values changes nothing"
    allow("team", 3)
    with transaction("spendbeat_reader") as session:
        assert rules.version(session) != before


def test_limits_are_shown_and_set_on_the_command_line() -> None:
    assert spendbeat("attribution", "limits", "set", "tag:request", "1").output == (
        "tag:request: 0 values, at most 1.\n"
    )
    resolve(tagged("request:1"), tagged("request:2"))
    shown = {line["field"]: line for line in json.loads(said("limits", "--json"))}
    assert (shown["tag:request"]["known"], shown["tag:request"]["replaced"]) == (1, 1)
    assert (shown["project"]["known"], shown["project"]["most"]) == (1, 10_000)
    assert "capped since" in said("limits")
    assert "at most 10,000" in said("limits", "set", "tag:request", "default")
    with pytest.raises(BadInputError, match="choose from organization"):
        said("limits", "set", "colour", "1")
    assert spendbeat("attribution", "limits", "set", "team", "-1").exit_code == 2


def said(*arguments: str) -> str:
    result = spendbeat("attribution", *arguments)
    if result.exception:
        raise result.exception
    return result.stdout
