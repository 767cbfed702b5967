"""Who is let in, and what happens while the service has too much to do or no database."""

import socket
import threading
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from spend import tokens
from tests.support.books import Books
from tests.support.databases import away
from tests.support.service import Service, event, serving, token
from tests.support.waiting import wait_for
from web.tokens import REMEMBERED_SECONDS
from worker.database import transaction

COUNT = "SELECT count(*) FROM cost_logs"
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND wait_event_type = 'Lock'"
)


def test_without_a_good_token_it_is_401_and_says_how_to_ask(service: Service) -> None:
    for header in ("", "Bearer", "Bearer sb_wrong", f"Bearer sb_{'x' * 43}", "Basic dTpw"):
        answer = service.post(event(1), authorization=header)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert httpx.post(f"{service.url}/ingest", json=event(1), trust_env=False).status_code == 401


def test_a_token_without_the_scope_is_403_which_names_it(service: Service) -> None:
    answer = service.post(event(1), authorization=f"Bearer {token('reports', 'read')}")
    assert answer.status_code == 403
    assert "ingest" in answer.json()["error"]
    assert 'scope="ingest"' in answer.headers["www-authenticate"]


def test_a_revoked_token_is_refused_within_seconds(service: Service, books: Books) -> None:
    """Known tokens are remembered for a moment; no longer."""
    secret = token("leaked")
    bearer = f"Bearer {secret}"
    assert service.post(event(1), authorization=bearer).status_code == 200
    with transaction() as session:
        tokens.revoke(session, "leaked")
    wait_for(
        lambda: service.post(event(1), authorization=bearer).status_code == 401,
        "the token to be refused",
        REMEMBERED_SECONDS + 3,
    )
    assert service.post(event(1)).status_code == 200


def test_a_new_token_works_at_once_and_its_use_is_noted(service: Service, books: Books) -> None:
    assert service.post(event(1), authorization=f"Bearer {token('new')}").status_code == 200
    used = "SELECT last_used_at FROM api_tokens WHERE name = 'new'"
    wait_for(lambda: books.scalar(used), "its last use")


def test_only_a_hash_of_a_secret_is_stored(database: str, books: Books) -> None:
    secret = token("one")
    row = str(books.scalar("SELECT t::text FROM api_tokens AS t"))
    assert "one" in row
    assert secret not in row
    assert secret.encode().hex() not in row


def test_while_postgres_is_away_it_is_503_and_nothing_is_half_done(
    service: Service, books: Books, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same request afterwards is booked; health answers all the time and says so."""
    # Its token is not looked up again, so that the request gets as far as the ledger.
    monkeypatch.setattr("web.tokens.REMEMBERED_SECONDS", 60.0)
    assert service.post(event(0)).status_code == 200
    books.engine.dispose()
    with away(database):
        answer = service.post([event(1), event(2)])
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        wait_for(lambda: service.client.get("/").json()["database"] is False, "health to notice")
    wait_for(lambda: service.post([event(1), event(2)]).status_code == 200, "it to be booked again")
    assert service.post([event(1), event(2)]).json()["known"] == 2
    assert books.scalar(COUNT) == 3
    wait_for(lambda: service.client.get("/").json()["database"], "health to notice")


def test_a_service_without_any_database_starts_and_answers(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody listens, and where somebody does and never says a word."""
    monkeypatch.setattr("worker.database.CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for where in (f"@/x?host={tmp_path}", f"@127.0.0.1:{port}/x"):
            with serving(
                "sb_" + "x" * 43, database_url=f"postgresql+psycopg2://x{where}"
            ) as service:
                assert service.client.get("/").json()["database"] is False
                assert service.post(event(1)).status_code == 503


def test_more_than_it_can_take_is_503_at_once_while_health_answers(
    database: str, books: Books
) -> None:
    """What is in hand waits for the ledger and is booked; the rest is asked to come again."""
    with serving(web_in_flight=2, web_threads=2) as service:
        assert service.post(event(0)).status_code == 200
        codes: list[int] = []

        def send(number: int) -> None:
            codes.append(service.post(event(number)).status_code)

        with books.engine.begin() as holder:
            holder.execute(text("LOCK TABLE cost_logs IN ACCESS EXCLUSIVE MODE"))
            senders = [threading.Thread(target=send, args=(number,)) for number in (1, 2)]
            for sender in senders:
                sender.start()
            wait_for(lambda: books.scalar(WAITING) == 2, "both to wait for the ledger")
            answer = service.post(event(3))
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert service.client.get("/").json()["database"] is True
        for sender in senders:
            sender.join()
        assert codes == [200, 200]
        assert service.post(event(3)).status_code == 200
    assert books.scalar(COUNT) == 4


def test_what_came_in_is_counted_and_gateways_are_heard(service: Service, books: Books) -> None:
    """Requests by how they ended, events by what became of them, spools as they say."""
    spool = "name=api 7; waiting=12; dropped=1; oldest=33"
    service.post([event(1), event(2)], Spendbeat_Spool=spool)
    service.post([event(1)], Spendbeat_Spool="name=x; waiting=many")
    service.post([{}])
    service.post([event(3)], authorization="Bearer x", Spendbeat_Spool="name=y; waiting=1")
    counted = (
        "SELECT string_agg(counted || ' ' || result || ' ' || total, ', ' ORDER BY 1)"
        " FROM ingest_counts WHERE route = 'ingest'"
    )
    expected = (
        "events imported 2, events known 1,"
        " requests booked 2, requests invalid 1, requests unauthorized 1"
    )
    wait_for(lambda: books.scalar(counted) == expected, "the counts")
    said = "SELECT string_agg(concat_ws(' ', name, waiting, dropped, oldest_seconds), ',')"
    assert books.scalar(f"{said} FROM gateway_spools") == "api 7 12 1 33"


def test_counts_wait_while_postgres_is_away(
    service: Service, books: Books, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    service.post([event(1)])
    books.engine.dispose()
    with away(database):
        service.post([event(2)])
        wait_for(lambda: "cannot be written yet" in caplog.text, "an attempt to write them")
    total = "SELECT sum(total) FROM ingest_counts WHERE counted = 'requests'"
    wait_for(lambda: books.scalar(total) == 2, "both requests to be counted")


def test_nothing_that_was_sent_is_in_the_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither tokens nor contents, whatever goes wrong."""
    with caplog.at_level("DEBUG"):
        service.post(event(1, input_tokens="s3cret"))
        service.post([event(1, id="s3cret"), event(1, id="s3cret", output_tokens=1)])
        service.post(event(1), authorization="Bearer s3cret")
        service.post(b'"s3cret', content_type="application/json")
        service.post(event(1), content_type="s3cret")
    assert "answered 422" in caplog.text
    assert "s3cret" not in caplog.text


def test_other_paths_and_methods_are_answered_alike(service: Service) -> None:
    for method, path, status in (("GET", "/docs", 404), ("GET", "/ingest", 405), ("PUT", "/", 405)):
        answer = service.client.request(method, path)
        assert answer.status_code == status
        assert answer.json()["error"]
