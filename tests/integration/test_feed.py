"""The feed: what is put into it, and in which order it becomes visible."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Event, Thread
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.orm import Session

from spend import feed, rebuild, rollups
from spend.alerts import states
from spend.feed import Entry
from spend.feed_events import told
from spend.tenancy import Binding
from tests.support import alerts, budgets, feeds, ledger
from tests.support.waiting import wait_for
from worker.database import engine, transaction

NOW = datetime.now(UTC)
PUT = text("INSERT INTO feed_entries (kind, body) VALUES ('reset', '{}') RETURNING id")


def put(entries: int = 1) -> None:
    for _ in range(entries):
        with transaction() as session:
            feed.put_reset(session)


def positions() -> list[int]:
    return [entry.position for entry in feeds.entries()]


def mix(id_: int, **fields: str) -> int:
    """A combination that requests can be attributed to."""
    names = ", ".join(["id", "digest", *fields])
    values = ", ".join([":id", ":digest", *(f":{name}" for name in fields)])
    sql = f"INSERT INTO attributions ({names}) VALUES ({values})"
    ledger.run_as("spendbeat_owner", sql, id=id_, digest=str(uuid4()), **fields)
    return id_


def spent(*rows: dict[str, object]) -> Entry:
    """The one entry of a batch with these rows."""
    with transaction() as session:
        ledger.add(session, rows)
    before = feeds.standing().newest
    ledger.roll()
    (entry,) = feeds.entries(before)
    return entry


def test_a_batch_tells_what_was_spent_by_whom(database: str) -> None:
    acme = mix(7, organization="acme", team="blue")
    entry = spent(
        {"cost_usd": Decimal("1.5"), "attribution_id": acme},
        {"cost_usd": Decimal("0.25"), "attribution_id": acme},
        {"cost_usd": None, "attribution_id": acme},
        {"cost_usd": Decimal(3)},
    )
    data = told(entry, None)
    assert data is not None
    counted = datetime.fromisoformat(data.pop("counted_to"))
    assert counted == ledger.scalar("SELECT max(at) FROM ticks")
    nobody = {"organization": None, "team": None, "api_key": None}
    assert data == {
        "provider": "openai", "requests": 4, "unpriced": 1, "total_cost": "4.75", "rest": None,
        "lines": [
            {**nobody, "requests": 1, "unpriced": 0, "total_cost": "3"},
            {**nobody, "organization": "acme", "team": "blue",
             "requests": 3, "unpriced": 1, "total_cost": "1.75"},
        ],
    }  # fmt: skip


def test_a_bound_listener_gets_its_lines_and_their_sum(database: str) -> None:
    mine = mix(7, organization="acme", team="blue", api_key="k1")
    also = mix(8, organization="acme", team="blue", api_key="k2", project="x")
    other = mix(9, organization="other", team="blue")
    entry = spent(
        {"cost_usd": Decimal(1), "attribution_id": mine},
        {"cost_usd": Decimal(2), "attribution_id": also},
        {"cost_usd": Decimal(40), "attribution_id": other},
        {"cost_usd": Decimal(500)},
    )
    data = told(entry, Binding(organization="acme"))
    assert data is not None
    assert (data["total_cost"], data["requests"], data["rest"]) == ("3", 2, None)
    assert [line["api_key"] for line in data["lines"]] == ["k2", "k1"]
    key = told(entry, Binding(organization="acme", api_key="k1"))
    assert key is not None
    assert (key["total_cost"], len(key["lines"])) == ("1", 1)
    for nothing in (Binding(organization="else"), Binding(organization="other", api_key="k1")):
        assert told(entry, nothing) is None


def test_what_is_more_than_the_lines_is_one_line_for_those_who_see_all(database: str) -> None:
    for number in range(feed.LINES + 5):
        mix(number + 1, api_key=f"key-{number:03}")
    rows = [
        {"attribution_id": number + 1, "cost_usd": Decimal(1000 - number)}
        for number in range(feed.LINES + 5)
    ]
    entry = spent(*rows)
    data = told(entry, None)
    assert data is not None
    assert len(data["lines"]) == feed.LINES
    assert data["requests"] == feed.LINES + 5
    assert Decimal(data["total_cost"]) == sum(1000 - n for n in range(feed.LINES + 5))
    assert data["rest"] == {
        "lines": 5, "requests": 5, "unpriced": 0,
        "total_cost": str(sum(1000 - n for n in range(feed.LINES, feed.LINES + 5))),
    }  # fmt: skip
    assert told(entry, Binding(api_key="key-000")) is not None
    assert told(entry, Binding(api_key=f"key-{feed.LINES + 4:03}")) is None


def test_a_batch_in_the_middle_of_a_tick_says_no_moment(database: str) -> None:
    with transaction() as session:
        ledger.add(session, [{}] * 30)
    ledger.roll(batch_rows=10)
    moments = [entry.body["counted_to"] for entry in feeds.entries()]
    assert moments[-1]
    assert len(moments) > 1
    assert not any(moments[:-1])


def test_a_batch_that_is_rolled_back_tells_nothing(database: str) -> None:
    with transaction() as session:
        ledger.add(session)
    ledger.tick()
    with Session(engine()) as session:
        assert rollups.advance(session, "openai").outcome == "moved"
        session.rollback()
    assert positions() == []


def test_every_change_of_an_alert_is_told_as_it_is_then(database: str) -> None:
    budgets.add("shop", period="total", scope={"organization": "acme"}, thresholds=["50%"])
    alerts.spend(100, NOW, attribution_id=mix(5, organization="acme"))
    (alert,) = alerts.told(NOW)
    steps: list[Callable[..., object]] = [states.acknowledge, states.resolve]
    for do in steps:
        with transaction() as session:
            do(session, alert.id, by="ann", note="secret", now=NOW)
    found = [entry for entry in feeds.entries() if entry.kind == "alert"]
    said = [told(entry, None) for entry in found]
    assert [(s["change"], s["state"], s["by"]) for s in said if s] == [
        ("raised", "open", ""), ("acknowledged", "acknowledged", "ann"),
        ("resolved", "resolved", "ann"),
    ]  # fmt: skip
    assert said[0] is not None
    assert (said[0]["id"], said[0]["budget"], said[0]["spend"]) == (alert.id, "shop", "100")
    assert datetime.fromisoformat(said[0]["state_at"]) == NOW
    mine = told(found[1], Binding(organization="acme"))
    assert mine is not None
    assert "by" not in mine
    assert "secret" not in str(found)
    for hidden in (Binding(organization="b"), Binding(organization="acme", team="blue")):
        assert told(found[1], hidden) is None


def test_a_rebuild_tells_to_load_anew_and_nothing_of_what_it_counts(database: str) -> None:
    with transaction() as session:
        ledger.add(session, [{}] * 3)
    ledger.roll()
    before = feeds.entries()[-1].position
    with transaction("spendbeat_owner") as session:
        rebuild.shard(session, "openai")
        rebuild.set_zone(session, "Asia/Kathmandu")
    assert [entry.kind for entry in feeds.entries(before)] == ["reset", "reset"]


def test_what_commits_late_gets_a_later_position_and_a_plain_sequence_loses_it(
    database: str,
) -> None:
    """Numbers given before the commit are the control: whoever reads on from them misses one."""
    with engine().connect() as late, engine().connect() as early:
        first = late.execute(PUT).scalar_one()
        second = early.execute(PUT).scalar_one()
        assert first < second
        early.commit()
        naive = [ledger.scalar("SELECT max(id) FROM feed_entries")]
        (seen,) = feeds.entries()
        late.commit()
        after = "SELECT count(*) FROM feed_entries WHERE id > :last"
        assert ledger.scalar(after, last=naive[-1]) == 0
        assert [entry.position for entry in feeds.entries(seen.position)] == [seen.position + 1]
    assert positions() == [1, 2]


def test_readers_find_every_entry_in_order_whoever_commits_when(database: str) -> None:
    """Producers that commit out of order, three who give positions, a reader who goes on."""
    done, stop = Event(), Event()
    naive: list[int] = []
    read: list[int] = []

    def produce(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(40):
            with transaction() as session:
                feed.put_reset(session)
                session.execute(text("SELECT pg_sleep(:s)"), {"s": chance.random() * 0.02})

    def dispatch() -> None:
        while not done.is_set():
            with transaction() as session:
                feed.number(session, 7)

    def follow() -> None:
        while not stop.is_set():
            with transaction("spendbeat_reader") as session:
                read.extend(e.position for e in feed.page(session, read[-1] if read else 0, 50))
            with transaction("spendbeat_reader") as session:
                rows = session.scalars(
                    text("SELECT id FROM feed_entries WHERE id > :after ORDER BY id"),
                    {"after": naive[-1] if naive else 0},
                )
                naive.extend(rows)

    producers = [Thread(target=produce, args=(seed,)) for seed in range(6)]
    others = [Thread(target=dispatch) for _ in range(3)]
    reader = Thread(target=follow)
    for thread in (*producers, *others, reader):
        thread.start()
    for thread in producers:
        thread.join()
    feeds.number()
    done.set()
    wait_for(lambda: len(read) >= 240, "the reader to have all")
    stop.set()
    for thread in (*others, reader):
        thread.join()
    assert read == list(range(1, 241))
    assert len(naive) < 240, "the control found everything: this proves nothing"


def test_an_entry_that_is_deleted_while_positions_are_given_leaves_no_hole(database: str) -> None:
    put(3)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    dispatcher = Thread(target=feeds.number)
    with engine("spendbeat_owner").connect() as other:
        delete = "DELETE FROM feed_entries WHERE id = (SELECT min(id) + 1 FROM feed_entries)"
        other.execute(text(delete))
        dispatcher.start()
        with engine(None).connect() as all_:
            waiting = text(f"{waits} AND wait_event_type = 'Lock'")
            wait_for(lambda: all_.scalar(waiting), "it to wait for the entry")
        other.commit()
    dispatcher.join()
    put()
    assert positions() == [1, 2, 3]


def test_a_killed_dispatcher_leaves_no_hole_and_no_lock(database: str) -> None:
    put(3)
    with engine().connect() as killed:
        feed.number(Session(killed))
        killed.invalidate()
    put(2)
    assert positions() == [1, 2, 3, 4, 5]


def test_old_entries_go_from_the_oldest_on_and_so_do_those_without_a_position(
    database: str,
) -> None:
    put(6)
    feeds.number()
    ledger.run_as(
        "spendbeat_owner",
        "UPDATE feed_entries SET numbered_at = now() - interval '2 days' WHERE position <= 3",
    )
    put(2)
    ledger.run_as(
        "spendbeat_owner",
        "UPDATE feed_entries SET at = now() - interval '2 days' WHERE position IS NULL AND id ="
        " (SELECT max(id) FROM feed_entries)",
    )
    with transaction() as session:
        assert feed.prune(session, datetime.now(UTC) - timedelta(days=1)) == 4
    assert positions() == [4, 5, 6, 7]
    with transaction() as session:
        assert feed.prune(session, datetime.now(UTC) + timedelta(days=1)) == 4
    assert feeds.standing().newest == 7
    put()
    assert positions() == [8]


def test_who_missed_what_went_without_a_position_is_reset(database: str) -> None:
    """No web process ran for longer than entries are kept: the positions after that go on without
    a hole, though entries are missing.
    """
    put(3)
    feeds.number()
    before = feeds.standing()
    put(2)
    with transaction() as session:
        assert feed.prune(session, NOW - timedelta(days=1)) == 0
    assert feeds.standing().epoch == before.epoch, "nothing is missing"
    ledger.run_as(
        "spendbeat_owner",
        "UPDATE feed_entries SET at = now() - interval '2 days' WHERE position IS NULL",
    )
    with transaction() as session:
        assert feed.prune(session, NOW - timedelta(days=1)) == 2
    put()
    assert positions() == [1, 2, 3, 4]
    assert feeds.standing().epoch != before.epoch


def test_there_are_never_more_than_so_many(database: str) -> None:
    put(10)
    feeds.number()
    put(10)
    with transaction() as session:
        assert feed.prune(session, NOW - timedelta(days=1), most=4) == 12
    assert positions() == [7, 8, 9, 10, 11, 12, 13, 14]


def test_another_origin_is_another_epoch_after_all_positions(database: str) -> None:
    """A database that was restored: nobody goes on with an id from before."""
    put(2)
    feeds.number()
    before = feeds.standing()
    assert not before.behind
    ledger.run_as("spendbeat_owner", "UPDATE feed_state SET origin = 'elsewhere', newest = 1")
    assert feeds.standing().behind
    put()
    assert positions() == [1, 2, 3]
    assert feeds.standing().epoch != before.epoch
    ledger.run_as("spendbeat_owner", "DELETE FROM feed_state")
    assert feeds.standing().behind
    put()
    assert positions() == [1, 2, 3, 4]
