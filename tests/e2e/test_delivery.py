"""Messages reach a real receiver through beat, broker and workers, whatever dies on the way."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_celery import RedisTestBroker
from sqlalchemy import text

from spend import secrets
from spend.delivery import destination, outbox, registry
from tests.support import delivery_storm, outboxes
from tests.support.books import Books
from tests.support.delivery_storm import storm
from tests.support.moody import moody
from tests.support.programs import ROOT
from tests.support.waiting import wait_for
from worker.database import transaction

# As `spendbeat up` delivers; a thread cannot die by itself, so these are killed from outside only.
THREADS = ("-P", "threads", "-c", "8")
MOODS = {"500": 0.12, "reset": 0.08, "slow": 0.05, "unanswered": 0.15}


@pytest.mark.parametrize(
    ("pool", "dying"), [((), 0.004), (THREADS, 0.0)], ids=["processes", "threads"]
)
def test_every_message_comes_in_order_while_the_receiver_fails_and_workers_die(
    environment: dict[str, str],
    celery_broker: RedisTestBroker,
    tmp_path: Path,
    pool: tuple[str, ...],
    dying: float,
) -> None:
    """Missing none, in order per lane, again only where an answer or a process was lost."""
    with moody(MOODS) as receiver:
        found = storm(
            tmp_path,
            environment["REDIS_URL"],
            environment["DATABASE_URL"],
            receiver,
            messages=80,
            lanes=16,
            kill_every=5,
            dying=dying,
            pool=pool,
            seconds=120,
        )
    assert found.right, found
    assert found.deaths + found.kills > 0, "nobody died: this test would see nothing"
    assert found.again > 0, "nothing came twice: this test would see nothing"


def test_a_receiver_that_hangs_delays_neither_totals_nor_another_channel(
    environment: dict[str, str], start: Any, books: Books
) -> None:
    """With the programs of `spendbeat up`: the worker that counts never takes a delivery."""
    environment.update(delivery_storm.environment(key := secrets.new_key()))
    with moody({"hang": 1}) as hanging, moody({}) as well:
        stuck = delivery_storm.prepare(hanging.url, key, "stuck")
        fine = delivery_storm.prepare(well.url, key, "fine")
        delivery_storm.put(stuck, count=40, lanes=40)
        worker, delivery, _ = (
            start(name, command=(sys.executable, "-m", "worker.light", name))
            for name in ("worker", "delivery", "beat")
        )
        held = outbox.MOST_PER_CHANNEL
        wait_for(lambda: hanging.shown["hang"] >= held, "senders that hang")
        books.spend("openai", rows=1000)
        (sent,) = delivery_storm.put(fine, count=1, lanes=1)
        wait_for(lambda: sent in well.ids, "a message of another channel")
        wait_for(books.agree, "totals")
        worker.kill()
    assert "Task tasks.rollups.roll_up[" in worker.logs()
    assert "Task tasks.delivery.deliver[" in delivery.logs()
    assert "Task tasks.delivery.deliver[" not in worker.logs()


def test_the_example_receiver_takes_a_message_once_and_refuses_a_forged_one(
    environment: dict[str, str], start: Any, books: Books, tmp_path: Path
) -> None:
    """A channel as an operator makes it; the message comes, is replayed, and counts once."""
    key = secrets.new_key()
    more = delivery_storm.environment(key)
    environment.update(more)
    with transaction() as session:
        added = registry.add(
            session,
            "example",
            "webhook",
            "http://127.0.0.1:1/",
            secrets.parse(key, "a test"),
            allowed=destination.networks(delivery_storm.ALLOWED),
        )
    receiver = start(
        "receiver",
        "0",
        command=(sys.executable, str(ROOT / "docs/examples/receiver.py")),
        WEBHOOK_SECRET=str(added.secret),
        SEEN=str(tmp_path / "seen.sqlite"),
    )
    receiver.wait_for_log("Listening on port ")
    port = int(receiver.logs().split("Listening on port ")[1].split()[0])
    sealed = secrets.parse(key, "a test").seal(f"http://127.0.0.1:{port}/")
    with transaction() as session:
        session.execute(text("UPDATE channels SET sealed_url = :url"), {"url": sealed})
    start("worker", "worker", "-Q", "delivery,ticks")
    start("beat", "beat", "--pidfile=")
    (message_id,) = outboxes.put(added.channel.id)
    delivered = (
        f"SELECT count(*) FROM deliveries WHERE message_id = '{message_id}' AND status = 204"
    )
    wait_for(lambda: books.scalar(delivered) == 1, "the delivery")
    with transaction() as session:
        assert outbox.replay(session, [message_id]) == 1
    wait_for(lambda: books.scalar(delivered) == 2, "the delivery again")
    forged = httpx.post(
        f"http://127.0.0.1:{port}/",
        content=json.dumps({"type": "x", "timestamp": "x", "data": {"version": 1}}),
        headers={"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"},
        trust_env=False,
    )
    assert forged.status_code == 401
    assert receiver.logs().count("test.numbered Message 0") == 1
