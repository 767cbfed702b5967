"""Usage goes in, totals come out by themselves; whatever happens to messages and processes."""

import json
import re
import sys
from collections import Counter
from decimal import Decimal
from typing import Any

from pytest_celery import CeleryTestSetup

from tests.support.books import Books
from tests.support.desks import event
from tests.support.waiting import wait_for

COUNTED = "SELECT rows_total FROM cursors WHERE provider = 'openai'"
RECEIVED = re.compile(r"Task tasks\.rollups\.roll_up\[(\S+)\] received")
TWICE = (sys.executable, "-m", "celery", "-A", "tests.support.twice")


def test_usage_becomes_totals_and_they_are_proved(
    celery_setup: CeleryTestSetup, start: Any, books: Books
) -> None:
    """Rows go in, totals come out, an audit says difference 0; a new provider needs no set-up."""
    assert celery_setup.ready(control=True)
    start("beat", "beat")
    books.spend("openai", rows=1000)
    wait_for(books.agree, "the first totals")
    books.spend("anthropic", rows=50)
    wait_for(books.agree, "totals of a provider that nobody announced")
    proved = (
        "SELECT count(*) FROM audits WHERE rows = 1050 AND difference = 0 AND mismatches = '[]'"
    )
    wait_for(lambda: books.scalar(proved), "an audit of all rows without a difference")


def test_what_gateways_put_into_the_inbox_becomes_totals(
    celery_setup: CeleryTestSetup, start: Any, books: Books
) -> None:
    """More than one drain takes, some of it twice, one that cannot be booked."""
    bodies = [json.dumps(event(id=f"{n % 6000}")) for n in range(7000)]
    bodies[3500] = json.dumps(event(id="bad", input_tokens=-1))
    with books.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO event_inbox (route, body) SELECT 'gateway', unnest(%(b)s)", {"b": bodies}
        )
    start("beat", "beat")
    wait_for(lambda: books.scalar("SELECT count(*) FROM event_inbox") == 1, "an empty inbox")
    wait_for(books.agree, "totals of what was in it")
    assert books.raw() == {("openai", "gpt-4o"): (Decimal("0.0035") * 5999, 5999, 0)}
    assert books.scalar("SELECT error FROM event_inbox") == "a token count is negative: -1"


def test_the_worker_prepares_months_when_it_starts(
    database: str, books: Books, request: Any
) -> None:
    """A ledger without room for the coming months gets it at once, not a day later."""
    count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'cost_logs'::regclass"
    last = books.scalar(
        "SELECT max(inhrelid::regclass::text) FROM pg_inherits"
        " WHERE inhparent = 'cost_logs'::regclass"
    )
    before = int(str(books.scalar(count)))
    with books.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {last}")
    request.getfixturevalue("celery_setup")
    wait_for(lambda: books.scalar(count) == before, "the month that was missing")


def test_nothing_that_happens_to_messages_or_processes_changes_a_total(
    start: Any, books: Books, celery_broker: Any
) -> None:
    """Workers killed with SIGKILL, two beats, every message twice, queues emptied by hand."""
    worker = start("worker", "worker", "-l", "INFO", command=TWICE)
    beats = [start(name, "beat", command=TWICE) for name in ("beat-1", "beat-2")]
    with books.engine.connect() as slow, slow.begin():
        # Its ids are lower than those of the rows that are counted meanwhile.
        books.spend_in(slow, "openai")
        for round_ in range(4):
            for provider in ("openai", "anthropic", f"new-{round_}"):
                books.spend(provider, rows=700)
            wait_for(lambda n=round_: (f"new-{n}", "model-0") in books.rolled(), "some of it")
            done = books.scalar(COUNTED)
            books.spend("openai", rows=2000)
            wait_for(lambda n=done: books.scalar(COUNTED) != n, "a rollup that is under way")
            worker.kill()
            celery_broker.container.client.delete("ticks", "rollups")
            worker.start()
    wait_for(books.agree, "every total, once")
    assert books.scalar("SELECT count(*) FROM audits WHERE difference <> 0") == 0
    assert all(beat.running for beat in beats)
    received = Counter(RECEIVED.findall(worker.logs()))
    assert max(received.values()) > 1, "no message came twice: this test would see nothing"
