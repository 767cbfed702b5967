"""Events over HTTP: what is booked, what is refused and how it is said."""

import gzip
import json
import threading
from decimal import Decimal
from http.client import HTTPConnection

from spend.capture.fields import FIELDS
from tests.support.books import Books
from tests.support.service import Service, event, serving

COUNT = "SELECT count(*) FROM cost_logs"


def test_events_are_booked_once_however_often_they_are_sent(service: Service, books: Books) -> None:
    """The answer counts what was new and what was known, so a lost answer costs nothing."""
    body = {"events": [event(1), event(2, model="no-such-model")]}
    first = service.post(body)
    assert first.status_code == 200
    assert first.json() == {"imported": 2, "known": 0, "unpriced": 1, "conflicts": []}
    again = service.post(body)
    assert again.status_code == 200
    assert again.json() == {"imported": 0, "known": 2, "unpriced": 0, "conflicts": []}
    assert books.scalar(COUNT) == 2


def test_the_forms_in_which_events_come(service: Service, books: Books) -> None:
    """A list, or lines (also where they are called JSON); each plain and gzipped."""
    one, two = json.dumps(event(1)), json.dumps(event(2))
    forms = [
        ("application/json", f'{{"events": [{one}, {two}]}}'),
        ("application/json; charset=utf-8", f"[{one}, {two}]"),
        ("application/x-ndjson", f"{one}\n\n{two}\n"),
        ("application/json", f"{one}\n{two}"),
    ]
    found = []
    for content_type, text in forms:
        for send in (service.post, service.post_gzipped):
            answer = send(text.encode(), content_type=content_type)
            found.append((answer.json()["imported"], answer.json()["known"]))
    assert found == [(2, 0)] + [(0, 2)] * 7
    assert books.scalar(COUNT) == 2


def test_a_single_event_needs_no_list(service: Service) -> None:
    assert service.post(event(1)).json()["imported"] == 1
    assert service.post([]).json()["imported"] == 0


def test_gzip_in_several_members_is_one_body(service: Service) -> None:
    text = json.dumps([event(1), event(2)]).encode()
    packed = gzip.compress(text[:50]) + gzip.compress(text[50:])
    assert service.post(packed, content_encoding="gzip").json()["imported"] == 2


def test_money_is_what_its_shortest_text_says(service: Service, books: Books) -> None:
    """A JSON number passes through a float and must not bring its binary digits along."""
    body = [
        {"id": "n", "provider": "p", "model": "m", "started_at": 1793613600.25, "cost_usd": 0.1},
        event(1, cost_usd="1234567.123456789012"),
    ]
    assert service.post(body).status_code == 200
    assert books.scalar("SELECT sum(cost_usd) FROM cost_logs") == Decimal("1234567.223456789012")


def test_one_bad_event_refuses_all_and_every_bad_one_is_named(
    service: Service, books: Books
) -> None:
    body = [event(0), {"id": "x"}, event(2), 7, event(4, input_tokens=-1), event(5, colour="red")]
    answer = service.post(body)
    assert answer.status_code == 422
    assert answer.json()["error"] == "4 of 6 events cannot be booked, so none was."
    assert [(p["index"], p["id"], p["reason"]) for p in answer.json()["problems"]] == [
        (1, "x", "started_at is missing"),
        (3, None, "not a JSON object"),
        (4, "req-4", "a token count is negative: -1"),
        (5, "req-5", "unknown field 'colour'"),
    ]
    assert books.scalar(COUNT) == 0


def test_a_hundred_bad_events_are_named_and_the_rest_counted(service: Service) -> None:
    answer = service.post([{"id": str(n)} for n in range(150)])
    assert answer.json()["error"].startswith("150 of 150 events")
    assert [p["index"] for p in answer.json()["problems"]] == list(range(100))


def test_no_value_of_a_field_is_an_error_of_the_service(service: Service) -> None:
    """Whatever stands in a field: it is booked, or the sender is told, and never a 500."""
    values = [[1], [[]], {"a": 1}, True, 1e400, 2**70, -1, "\ud800", "x\0", "", "\t", "9" * 600]
    for field in FIELDS:
        for value in values:
            answer = service.post(event(1, **{field: value}))
            assert answer.status_code in {200, 400, 422}, (field, value, answer.text)
            assert answer.status_code == 200 or answer.json()["error"]


def test_with_partial_the_good_are_booked_and_the_others_named(
    service: Service, books: Books
) -> None:
    answer = service.post([event(1), {"id": "x"}], "/ingest?partial=true")
    assert answer.status_code == 200
    assert answer.json()["imported"] == 1
    assert answer.json()["rejected"] == [{"index": 1, "id": "x", "reason": "started_at is missing"}]
    assert books.scalar(COUNT) == 1


def test_what_partial_left_out_is_kept_once_and_without_what_was_said(
    service: Service, books: Books
) -> None:
    """LiteLLM's logger never sends a batch again; `inbox retry` does, when the cause is gone."""
    bad = {"id": "x", "messages": [{"role": "user", "content": "s3cret"}], "model": "a\0b"}
    for _ in range(2):
        answer = service.post([None, bad], "/ingest/litellm?partial=true")
        assert [p["index"] for p in answer.json()["rejected"]] == [1]
    kept = "SELECT string_agg(concat_ws('|', route, body, error), ';') FROM event_inbox"
    found = str(books.scalar(kept))
    assert found.startswith('litellm|{"id":"x","model":"ab"}|')
    assert found.count("litellm") == 1
    service.post([event(1), 7], "/ingest?partial=true")
    assert books.scalar("SELECT count(*) FROM event_inbox WHERE route = 'gateway'") == 1


def test_a_conflict_is_reported_and_what_was_booked_stays(service: Service, books: Books) -> None:
    service.post(event(1))
    answer = service.post([event(2), event(1, output_tokens=999)])
    assert answer.status_code == 200
    assert answer.json()["imported"] == 1
    [conflict] = answer.json()["conflicts"]
    assert (conflict["index"], conflict["id"]) == (1, "req-1")
    assert "other content" in conflict["reason"]
    assert books.scalar("SELECT sum(output_tokens) FROM cost_logs") == 400


def test_what_is_no_json_is_400_and_says_where(service: Service) -> None:
    lines = "application/x-ndjson"
    for body, content_type, says in (
        (b"", "application/json", "not JSON"),
        (b'[{"id": 1},', "application/json", "line 1 column 12"),
        (b'{"id": 1}\n{"id": \n{}', lines, "Line 2"),
        (b'{"id": 1}\n{"id": \n', "application/json", "Line 2"),
        (b"\xff\xfe", "application/json", "not JSON"),
        (b'{"events": 7}', "application/json", '{"events": [...]}'),
        (b'{"events": [], "more": 1}', "application/json", '{"events": [...]}'),
        (b"[" * 100_000, "application/json", "not JSON"),
    ):
        answer = service.post(body, content_type=content_type)
        assert answer.status_code == 400
        assert says in answer.json()["error"]


def test_broken_gzip_is_400(service: Service) -> None:
    for body in (b"no gzip at all", gzip.compress(b"[]" * 99)[:-12]):
        answer = service.post(body, content_encoding="gzip")
        assert answer.status_code == 400
        assert "gzip" in answer.json()["error"]


def test_other_types_and_encodings_are_415_and_it_says_which_are_taken(service: Service) -> None:
    answer = service.post(b"a=b", content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]
    assert service.post(b"[]", content_type="").status_code == 415
    answer = service.post(b"[]", content_encoding="br")
    assert answer.status_code == 415
    assert "gzip" in answer.json()["error"]


def test_too_many_events_are_413_with_the_limit(database: str, books: Books) -> None:
    with serving(web_events=10) as service:
        assert service.post([event(n) for n in range(10)]).status_code == 200
        answer = service.post([event(n) for n in range(20, 31)])
    assert answer.status_code == 413
    assert "11 events" in answer.json()["error"]
    assert "limit is 10" in answer.json()["error"]
    assert books.scalar(COUNT) == 10


def test_a_body_that_is_too_large_is_413_before_it_is_read(database: str) -> None:
    """Both where the length is said, and where it comes in pieces of unknown number."""
    with serving(web_body_mib=1) as service:
        answer = service.post(b" " * (3 << 20))
        assert answer.status_code == 413
        assert "1 MiB" in answer.json()["error"]
        pieces = (b" " * 65536 for _ in range(64))
        answer = service.client.post(
            "/ingest", content=pieces, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 413
        assert service.post(event(1)).status_code == 200


def test_a_gzip_bomb_is_413_and_never_unpacked(database: str) -> None:
    """A thousandth of the memory that it wants is all that it gets."""
    bomb = gzip.compress(gzip.compress(b"\0" * (256 << 20), 9), 9)
    once = gzip.decompress(bomb)
    with serving(web_unpacked_mib=1) as service:
        answer = service.post(once, content_encoding="gzip")
        assert answer.status_code == 413
        assert "1 MiB unpacked" in answer.json()["error"]


def test_two_clients_with_the_same_events_at_once_book_each_once(
    service: Service, books: Books
) -> None:
    """In whatever order; one of them is told that they were known."""
    batches = [[event(n) for n in range(500)], [event(n) for n in reversed(range(500))]]
    answers: list[dict[str, int]] = []

    def send(batch: list[dict[str, object]]) -> None:
        answers.append(service.post(batch).json())

    threads = [threading.Thread(target=send, args=(batch,)) for batch in batches * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answer["imported"] for answer in answers) == 500
    assert sum(answer["known"] for answer in answers) == 1500
    assert books.scalar(COUNT) == 500


def test_a_sender_who_goes_away_harms_nobody(service: Service, books: Books) -> None:
    """In the middle of the body nothing is booked; before the answer it may be, and it is known."""
    host, port = service.url.removeprefix("http://").split(":")
    bearer = service.client.headers["authorization"]
    body = json.dumps([event(n) for n in range(200)]).encode()
    for part in (body[:1000], body):
        connection = HTTPConnection(host, int(port))
        connection.putrequest("POST", "/ingest")
        for name, value in (
            ("Authorization", bearer),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
        ):
            connection.putheader(name, value)
        connection.endheaders(part)
        connection.close()
    answer = service.post(body)
    assert answer.status_code == 200
    assert answer.json()["imported"] + answer.json()["known"] == 200
    assert books.scalar(COUNT) == 200


def test_litellms_payloads_are_mapped_and_bad_ones_are_named_by_their_own_id(
    service: Service, books: Books
) -> None:
    """Its null, for a call of which it made no payload, keeps the places of the others."""
    payload = {
        "id": "chatcmpl-1",
        "litellm_call_id": "call-1",
        "status": "success",
        "custom_llm_provider": "openai",
        "model": "gpt-4o",
        "startTime": 1793613600.25,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "response_cost": 0.001,
        "metadata": {},
    }
    answer = service.post([None, payload], "/ingest/litellm")
    assert (answer.status_code, answer.json()["imported"]) == (200, 1), answer.text
    lines = "\n".join(json.dumps(item) for item in (payload, None)).encode()
    assert service.post(lines, "/ingest/litellm").json()["known"] == 1
    answer = service.post([None, payload, {"id": "y"}, 3], "/ingest/litellm")
    assert answer.status_code == 422
    assert [(p["index"], p["id"]) for p in answer.json()["problems"]] == [(2, "y"), (3, None)]
    assert books.scalar(COUNT) == 1
