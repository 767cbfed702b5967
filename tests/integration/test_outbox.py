"""Messages leave after the commit, one at a time per lane, in order, and each until it is taken."""

import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from spend.delivery import dispatch, notices, outbox
from spend.delivery.channels import Channel
from spend.delivery.outcome import Message, Outcome
from spend.delivery.schedule import PAUSES
from spend.errors import BadInputError
from tests.support import outboxes
from tests.support.waiting import wait_for
from worker.database import engine, transaction

TAKEN = Outcome("delivered", "accepted", 200, 0.01, "thanks")
BROKEN = Outcome("retry", "failed", 500, 0.01, "oops")
GONE = Outcome("gone", "gone", 410, 0.01, "")


class Receiver:
    """Takes everything, or gives the outcomes that it is told to give first."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.got: list[str] = []

    def __call__(self, channel: Channel, message: Message) -> Outcome:
        del channel
        self.got.append(message.id)
        return self.outcomes.pop(0) if self.outcomes else TAKEN


def deliver(send: dispatch.Send, lane: str = "one") -> dispatch.Dispatched:
    with transaction() as session:
        return dispatch.deliver(session, lane, send, 0.5)


def ring() -> list[str]:
    with transaction() as session:
        return list(outbox.ring(session))


def states() -> dict[str, int]:
    with transaction("spendbeat_reader") as session:
        rows = session.execute(text("SELECT state, count(*) FROM outbox GROUP BY 1"))
        return {str(state): int(count) for state, count in rows}


def test_a_message_of_a_transaction_that_is_rolled_back_never_leaves(database: str) -> None:
    channel = outboxes.channel()
    with Session(engine("spendbeat_writer")) as session:
        outboxes.put_one(session, channel, "one", 0)
    assert ring() == []
    ids = outboxes.put(channel)
    assert ring() == ["one"]
    receiver = Receiver()
    assert deliver(receiver).result == "delivered"
    assert receiver.got == ids


def test_an_unknown_channel_is_said(database: str) -> None:
    with pytest.raises(BadInputError, match="99"), transaction() as session:
        outboxes.put_one(session, 99, "one", 0)


def test_a_lane_keeps_its_order_and_its_first_message_blocks_the_rest(database: str) -> None:
    ids = outboxes.put(outboxes.channel(), count=3)
    receiver = Receiver(TAKEN, BROKEN)
    assert deliver(receiver).result == "delivered"
    assert deliver(receiver).result == "retry"
    assert deliver(receiver).result == "idle"  # its pause is not over, and nothing overtakes it
    assert receiver.got == ids[:2]
    outboxes.due_now()
    assert [deliver(receiver).result for _ in range(3)] == ["delivered", "delivered", "idle"]
    assert receiver.got == [ids[0], ids[1], ids[1], ids[2]]
    assert states() == {"delivered": 3}


def test_a_dead_message_lets_the_next_one_go(database: str) -> None:
    first, second = outboxes.put(outboxes.channel(), count=2)
    receiver = Receiver(*[BROKEN] * (len(PAUSES) + 1))
    for _ in range(len(PAUSES)):
        assert deliver(receiver).result == "retry"
        outboxes.due_now()
    assert deliver(receiver).result == "dead"
    assert receiver.got == [first] * (len(PAUSES) + 1)
    assert deliver(receiver).result == "delivered"
    assert receiver.got[-1] == second
    assert states() == {"dead": 1, "delivered": 1}


def test_a_receiver_that_asks_for_patience_gets_it(database: str) -> None:
    outboxes.put(outboxes.channel())
    deliver(Receiver(Outcome("retry", "busy", 429, 0.01, "", retry_after=5000.0)))
    with transaction() as session:
        left = session.scalar(text("SELECT extract(epoch FROM next_at - now()) FROM outbox"))
    assert 4900 < float(left or 0) <= 5000


def test_positions_are_in_the_order_of_commits(database: str) -> None:
    """A transaction that puts later into the same lane waits for the one before it."""
    channel = outboxes.channel()
    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            first = outboxes.put_one(session, channel, "one", 0)
            waiting = pool.submit(outboxes.put, channel)
            wait_for(_somebody_waits, "the second transaction to wait for the lane")
        second = waiting.result(10)[0]
    receiver = Receiver()
    deliver(receiver)
    deliver(receiver)
    assert receiver.got == [first, second]


def _somebody_waits() -> bool:
    with engine(None).connect() as connection:  # the others see no details
        found = connection.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'"
            )
        )
    return bool(found)


def test_what_is_put_while_the_lane_s_last_message_is_being_sent_is_due_after_it(
    database: str,
) -> None:
    first = outboxes.put(outboxes.channel())
    then: list[str] = []

    def send(channel: Channel, message: Message) -> Outcome:
        then.extend(outboxes.put(channel.id))
        return TAKEN

    assert deliver(send).lanes == ("one",)
    receiver = Receiver()
    assert deliver(receiver).result == "delivered"
    assert receiver.got == then != first


def test_a_ring_that_comes_twice_never_sends_twice_in_parallel(database: str) -> None:
    outboxes.put(outboxes.channel())
    sending, answer = Event(), Event()

    def send(channel: Channel, message: Message) -> Outcome:
        sending.set()
        assert answer.wait(10)
        return TAKEN

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(deliver, send)
        assert sending.wait(10)
        receiver = Receiver()
        assert deliver(receiver).result == "held"
        answer.set()
        assert first.result(10).result == "delivered"
    assert deliver(receiver).result == "idle"
    assert receiver.got == []


def test_a_transaction_that_waits_for_an_answer_holds_nothing_else_up(database: str) -> None:
    """No transaction number and no snapshot: neither vacuum nor a tick sees it."""
    outboxes.put(outboxes.channel())
    seen = []

    def send(channel: Channel, message: Message) -> Outcome:
        with engine(None).connect() as connection:  # the others see no details
            seen.extend(
                connection.execute(
                    text(
                        "SELECT backend_xid, backend_xmin FROM pg_stat_activity"
                        " WHERE datname = current_database() AND state = 'idle in transaction'"
                    )
                ).all()
            )
        return TAKEN

    deliver(send)
    assert [tuple(row) for row in seen] == [(None, None)]


_KILLED = """
import os, signal, sys
from spend.delivery import dispatch
from worker.database import transaction
when = sys.argv[1]

def send(channel, message):
    print(message.id, flush=True)
    if when == "sending":
        os.kill(os.getpid(), signal.SIGKILL)
    from spend.delivery.outcome import Outcome
    return Outcome("delivered", "accepted", 200)

with transaction() as session:
    dispatch.deliver(session, "one", send, 0.5)
    if when == "answered":
        os.kill(os.getpid(), signal.SIGKILL)
if when == "committed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("when", "again"), [("sending", True), ("answered", True), ("committed", False)]
)
def test_a_killed_sender_frees_its_lane_at_once_and_nothing_is_lost(
    database: str, when: str, again: bool
) -> None:
    first, second = outboxes.put(outboxes.channel(), count=2)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, when],
        env={**os.environ, "DATABASE_URL": database},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (-9, first), done.stderr
    receiver = Receiver()
    wait_for(lambda: deliver(receiver).result == "delivered", "the lane to be free", 5)
    assert receiver.got == [first if again else second]


def test_a_lane_is_rung_once_until_its_message_was_tried_or_the_ring_was_lost(
    database: str,
) -> None:
    outboxes.put(outboxes.channel(), count=2)
    assert ring() == ["one"]
    assert ring() == []
    with transaction() as session:
        session.execute(text("UPDATE outbox SET rung_at = rung_at - interval '31 s'"))
    assert ring() == ["one"]
    assert deliver(Receiver()).lanes == ("one",)  # the next one of the lane, at once
    assert ring() == []


def test_a_channel_that_hangs_leaves_workers_to_the_others(database: str) -> None:
    slow, quick = outboxes.channel("slow"), outboxes.channel("quick")
    for number in range(20):
        outboxes.put(slow, f"slow {number}")
    assert len(ring()) == outbox.MOST_PER_CHANNEL
    outboxes.put(quick, "quick")
    assert ring() == ["quick"]
    assert ring() == []
    sent = [deliver(Receiver(), lane) for lane in _lanes_told()]
    # Each that ends gives its place to one more.
    assert Counter(len(one.lanes) for one in sent) == {1: 8, 0: 1}


def _lanes_told() -> list[str]:
    with transaction() as session:
        return list(
            session.scalars(text("SELECT lane FROM outbox WHERE rung_at IS NOT NULL ORDER BY lane"))
        )


def test_gone_disables_the_channel_and_tells_the_others(database: str) -> None:
    dead, other, off = (outboxes.channel(name) for name in ("dead", "other", "off"))
    with transaction() as session:
        session.execute(text("UPDATE channels SET state = 'disabled' WHERE id = :id"), {"id": off})
    outboxes.put(dead, count=3)
    assert deliver(Receiver(GONE)).result == "dead"
    with transaction() as session:
        told = session.execute(
            text("SELECT lane, channel_id, type, body FROM outbox WHERE state = 'waiting'")
        ).all()
        state = session.scalar(text("SELECT state FROM channels WHERE id = :id"), {"id": dead})
    assert state == "disabled"
    assert [(row.lane, row.channel_id, row.type) for row in told] == [
        (f"channel:{dead}/channel:{other}", other, "channel.disabled")
    ]
    assert (told[0].body["reason"], told[0].body["given_up"]) == ("gone", 2)
    outboxes.put(dead)
    assert states() == {"dead": 4, "waiting": 1}
    assert deliver(Receiver()).result == "idle"


def test_what_waits_for_a_channel_that_somebody_disabled_is_given_up(database: str) -> None:
    channel = outboxes.channel()
    outboxes.put(channel, count=2)
    with transaction() as session:
        session.execute(text("UPDATE channels SET state = 'disabled'"))
    receiver = Receiver()
    assert deliver(receiver).result == "disabled"
    assert (receiver.got, states()) == ([], {"dead": 2})


@pytest.mark.parametrize(
    ("first", "newest", "disabled"), [("6 days", "1 hour", 1), ("4 days", "1 hour", 0)]
)
def test_a_channel_that_only_failed_for_five_days_is_disabled(
    database: str, first: str, newest: str, disabled: int
) -> None:
    channel, other = outboxes.channel(), outboxes.channel("other")
    outboxes.put(channel, count=2)
    deliver(Receiver(BROKEN))
    outboxes.due_now()
    deliver(Receiver(BROKEN))
    with transaction() as session:
        session.execute(
            text(
                "UPDATE channels SET failing_since = now() - CAST(:ago AS interval) WHERE id = :id"
            ),
            {"ago": first, "id": channel},
        )
    _move_log("1 day", newest)
    with transaction() as session:
        assert notices.disable_failing(session) == disabled
    assert (f"channel:{channel}/channel:{other}" in ring()) == bool(disabled)
    with transaction() as session:
        assert notices.disable_failing(session) == 0


def test_one_failure_after_a_quiet_month_disables_nothing(database: str) -> None:
    channel = outboxes.channel()
    outboxes.put(channel, count=2)
    deliver(Receiver(BROKEN))
    outboxes.due_now()
    deliver(Receiver(BROKEN))
    with transaction() as session:
        session.execute(text("UPDATE channels SET failing_since = now() - interval '30 days'"))
    _move_log("29 days", "1 minute")
    with transaction() as session:
        assert notices.disable_failing(session) == 0


def _move_log(first: str, second: str) -> None:
    with engine("spendbeat_owner").begin() as connection:
        for ago, side in ((first, "min"), (second, "max")):
            connection.execute(
                text(
                    "UPDATE deliveries SET at = now() - CAST(:ago AS interval)"
                    f" WHERE id = (SELECT {side}(id) FROM deliveries)"
                ),
                {"ago": ago},
            )


def test_a_success_ends_a_row_of_failures(database: str) -> None:
    outboxes.put(outboxes.channel(), count=2)
    deliver(Receiver(BROKEN))
    with transaction() as session:
        assert session.scalar(text("SELECT failing_since FROM channels")) is not None
    outboxes.due_now()
    deliver(Receiver())
    with transaction() as session:
        assert session.scalar(text("SELECT failing_since FROM channels")) is None


def test_a_replayed_message_goes_before_what_is_behind_it_and_keeps_its_id(database: str) -> None:
    ids = outboxes.put(outboxes.channel(), count=3)
    receiver = Receiver(Outcome("retry", "failed", 500), Outcome("retry", "failed", 500))
    deliver(receiver)
    with transaction() as session:
        due = outbox.head(session, "one")
        assert due is None
        session.execute(text("UPDATE outbox SET next_at = now() WHERE next_at IS NOT NULL"))
        due = outbox.head(session, "one")
        assert due is not None
        outbox.dead(session, due, "failed")
    deliver(receiver)  # the second fails and waits
    with transaction() as session:
        assert outbox.replay(session, [ids[0], ids[1]]) == 1
    receiver.got.clear()
    outboxes.due_now()
    assert [deliver(receiver).result for _ in range(4)] == ["delivered"] * 3 + ["idle"]
    assert receiver.got == ids


def test_a_message_taken_after_it_was_given_up_counts_as_delivered(database: str) -> None:
    """Somebody disables the channel while its receiver is answering."""
    outboxes.put(outboxes.channel())

    def send(channel: Channel, message: Message) -> Outcome:
        with transaction() as session:
            notices.disable(session, channel, "failing", "It is enough.")
        return TAKEN

    assert deliver(send).result == "delivered"
    assert states() == {"delivered": 1}


def test_old_messages_and_their_log_are_forgotten_and_counts_are_not(database: str) -> None:
    ids = outboxes.put(outboxes.channel(), count=3)
    deliver(Receiver())
    deliver(Receiver())
    with transaction() as session:
        session.execute(
            text("UPDATE outbox SET ended_at = ended_at - interval '31 days' WHERE id = :id"),
            {"id": ids[0]},
        )
    with transaction() as session:
        assert outbox.prune(session, days=30, dead_days=90) == 1
        left = session.scalars(text("SELECT id FROM outbox ORDER BY position")).all()
        log = session.scalars(text("SELECT message_id FROM deliveries")).all()
        counted = session.scalar(text("SELECT attempts FROM delivery_counts"))
    assert (left, log, counted) == (ids[1:], [ids[1]], 2)
    _move_log("31 days", "31 days")
    with transaction() as session:
        assert outbox.prune(session, days=30, dead_days=90) == 0
        assert session.scalars(text("SELECT message_id FROM deliveries")).all() == []


def test_a_lane_without_a_message_that_is_due_is_repaired_by_the_next_tidying(
    database: str,
) -> None:
    """It should not happen; if it did, the lane would wait for ever."""
    from tasks.delivery import tidy

    outboxes.put(outboxes.channel(), count=2)
    with transaction() as session:
        session.execute(text("UPDATE outbox SET next_at = NULL"))
    assert ring() == []
    tidy()
    assert ring() == ["one"]
    assert [deliver(Receiver()).result for _ in range(3)] == ["delivered", "delivered", "idle"]


def test_a_sender_that_hangs_beyond_its_own_limits_is_a_failed_attempt(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery's soft limit ends it; the attempt is logged, and the message has its pause."""
    from celery.exceptions import SoftTimeLimitExceeded

    from tasks import delivery
    from worker import sending

    def hang(*_: object) -> Outcome:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(sending, "send", hang)
    outboxes.put(outboxes.channel())
    assert delivery.deliver("one")["reason"] == "timeout"
    assert states() == {"waiting": 1}
    assert ring() == []
