"""A token that asks too often gets 429, and nobody else notices."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import httpx
import pytest
from sqlalchemy import text

from tests.support.books import Books
from tests.support.service import Service, event, serving, token
from tests.support.valkey import Valkey
from tests.support.waiting import wait_for
from web.calls import OF_ONE_TOKEN

pytestmark = pytest.mark.usefixtures("database")
MOST = 5
REPORTED = "spend_buckets, daily_cost_summaries, spend_summary"


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    found = Valkey(tmp_path)
    yield found
    found.kill()


def kombu(valkey: Valkey) -> str:
    return f"redis+socket://{valkey.url.removeprefix('unix://')}"


def statuses(service: Service, asks: int, secret: str, path: str = "/budgets") -> Counter[int]:
    headers = {"Authorization": f"Bearer {secret}"}
    return Counter(service.client.get(path, headers=headers).status_code for _ in range(asks))


def test_what_is_too_much_is_429_and_says_when_to_come_again(valkey: Valkey) -> None:
    with serving(web_rate=MOST, redis_url=kombu(valkey)) as service:
        mine, other = token("mine", "read"), token("other", "read")
        assert statuses(service, MOST + 2, mine) == {200: MOST, 429: 2}
        refused = service.client.get("/alerts", headers={"Authorization": f"Bearer {mine}"})
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 120
        assert refused.headers["ratelimit-limit"] == str(MOST)
        assert "5 such requests a minute" in refused.json()["error"]
        assert statuses(service, MOST, other) == {200: MOST}
        assert service.client.get("/").status_code == 200


def test_processes_count_together_where_redis_answers(valkey: Valkey) -> None:
    mine = token("mine", "read")
    with (
        serving(web_rate=MOST, redis_url=kombu(valkey)) as one,
        serving(web_rate=MOST, redis_url=kombu(valkey)) as two,
    ):
        assert statuses(one, 3, mine) + statuses(two, 3, mine) == {200: MOST, 429: 1}
        # What is kept does not grow with what is sent, and is gone some time later.
        keys = valkey.client.keys("*rates*")
        assert 1 <= len(keys) <= 2
        assert all(0 < valkey.client.ttl(key) <= 120 for key in keys)


def test_each_process_counts_alone_while_redis_is_away(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.rates._LATER", 0.2)
    mine, other = token("mine", "read"), token("other", "read")
    with serving(web_rate=MOST, redis_url=kombu(valkey)) as service:
        assert statuses(service, 1, mine) == {200: 1}
        valkey.kill()
        assert statuses(service, MOST + 1, mine) == {200: MOST, 429: 1}
        valkey.start()
        # Counted in Redis again, for whoever asks.
        wait_for(
            lambda: statuses(service, 1, other) and valkey.client.keys("*rates*"),
            "Redis to be asked again",
        )


def test_events_and_other_requests_count_apart(valkey: Valkey) -> None:
    """Events have no limit of their own unless one is set."""
    both = token("both", "read", "ingest")
    headers = {"authorization": f"Bearer {both}"}
    with serving(web_rate=1, redis_url=kombu(valkey)) as service:
        assert statuses(service, 2, both) == {200: 1, 429: 1}
        sent = Counter(service.post(event(n), **headers).status_code for n in range(4))
        assert sent == {200: 4}
    with serving(web_rate=0, web_ingest_rate=2, redis_url=kombu(valkey)) as service:
        sent = Counter(service.post(event(n), **headers).status_code for n in range(4))
        assert sent == {200: 2, 429: 2}
        assert statuses(service, 3, both) == {200: 3}


def test_what_was_refused_for_its_number_is_in_the_metrics(valkey: Valkey) -> None:
    mine = token("mine", "read")
    with serving(token("prometheus", "metrics"), web_rate=1, redis_url=kombu(valkey)) as service:
        assert statuses(service, 3, mine) == {200: 1, 429: 2}
        shown: httpx.Response = service.client.get("/metrics")
    lines = [line for line in shown.text.splitlines() if "limited" in line and "/budgets" in line]
    assert any(line.endswith(" 2.0") for line in lines), shown.text


def test_a_flood_of_one_token_leaves_room_for_others(books: Books) -> None:
    """It has so many in hand and no more; then comes 429, and who else asks is served."""
    flood, other = token("flood", "read"), token("other", "read")
    done: list[int] = []
    with serving() as service:

        def send(secret: str) -> None:
            headers = {"Authorization": f"Bearer {secret}"}
            done.append(httpx.get(f"{service.url}/spend", headers=headers, timeout=60).status_code)

        with books.engine.begin() as holder:
            holder.execute(text(f"LOCK TABLE {REPORTED} IN ACCESS EXCLUSIVE MODE"))
            senders = [Thread(target=send, args=(flood,)) for _ in range(OF_ONE_TOKEN + 3)]
            for sender in senders:
                sender.start()
            wait_for(lambda: len(done) == 3, "those that are too many")
            assert done == [429] * 3
            senders.append(Thread(target=send, args=(other,)))
            senders[-1].start()
        for sender in senders:
            sender.join()
    assert Counter(done) == {429: 3, 200: OF_ONE_TOKEN + 1}
