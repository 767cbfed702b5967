"""Alerts over HTTP: found, and what people do with them, in whose name."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support import alerts as support
from tests.support import budgets
from tests.support.asking import Client
from tests.support.outboxes import channel
from tests.support.service import Service

NOW = datetime.now(UTC)


@pytest.fixture
def client(service: Service) -> Client:
    return Client(service)


@pytest.fixture
def raised(database: str) -> list[int]:
    """Two alerts of the budget shop, a warning and a critical one, as of now; the oldest first."""
    budgets.add("shop", period="total", hard_limit=10)
    budgets.add("other", period="total", hard_limit=1000)
    support.spend("10.000000000001", NOW - timedelta(hours=1))
    return [alert.id for alert in support.told(NOW)]


def test_alerts_are_listed_and_shown_with_all_that_is_known(
    client: Client, raised: list[int]
) -> None:
    found = client.get("/alerts")
    assert [alert["id"] for alert in found["alerts"]] == raised[::-1]
    assert found["next"] is None
    critical = client.get(f"/alerts/{raised[1]}")
    assert (critical["budget"], critical["threshold"], critical["severity"]) == (
        "shop", "100%", "critical"
    )  # fmt: skip
    assert (critical["spend"], critical["limit"], critical["line"]) == (
        "10.000000000001", "10", "10"
    )  # fmt: skip
    assert critical["together"] == ["80%", "100%"]
    assert critical["contributors"]["model"][0]["spend"] == "10.000000000001"
    assert [change["change"] for change in critical["history"]] == ["raised"]
    assert {name: critical[name] for name in found["alerts"][0]} == found["alerts"][0]


def test_lists_are_what_was_asked_for(client: Client, raised: list[int]) -> None:
    warning, critical = raised
    client.good("POST", f"/alerts/{warning}/resolve", {"note": "stopped the loop"})

    def ids(query: str) -> list[int]:
        return [alert["id"] for alert in client.get(f"/alerts?{query}")["alerts"]]

    assert ids("") == [critical]
    assert ids("all") == [critical, warning]
    assert ids("state=resolved") == [warning]
    assert ids("state=resolved&state=open") == [critical, warning]
    assert ids("all&severity=warning") == [warning]
    assert ids("all&budget=shop") == [critical, warning]
    assert ids("all&budget=other") == []
    first = client.get("/alerts?all&limit=1")
    rest = client.get(f"/alerts?all&limit=1&after={first['next']}")
    assert [one["id"] for one in first["alerts"] + rest["alerts"]] == [critical, warning]
    assert rest["next"] is None
    for query in ("state=gone", "severity=loud", "stat=open", "after=7"):
        assert client.bad("GET", f"/alerts?{query}")[0] == 400
    assert client.bad("GET", "/alerts?budget=nowhere")[0] == 404


def test_what_people_do_is_in_the_history_with_the_tokens_name(
    client: Client, raised: list[int]
) -> None:
    path = f"/alerts/{raised[0]}"
    noted = client.good("POST", f"{path}/ack", {"note": "the nightly evaluation"})
    assert (noted["state"], noted["state_by"], noted["state_note"]) == (
        "acknowledged", "operator", "the nightly evaluation"
    )  # fmt: skip
    quiet = client.good("POST", f"{path}/snooze", {"for": "4h"})
    assert quiet["state"] == "snoozed"
    ends = datetime.fromisoformat(quiet["due_at"])
    assert timedelta(hours=3.9) < ends - NOW < timedelta(hours=4.5)
    until = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0).isoformat()
    assert client.good("POST", f"{path}/snooze", {"until": until})["due_at"] == until
    assert client.good("POST", f"{path}/resolve")["resolution"] == "by_hand"
    assert client.good("POST", f"{path}/resolve")["state"] == "resolved"
    history = client.get(path)["history"]
    assert [(change["change"], change["by"]) for change in history] == [
        ("raised", ""),
        ("acknowledged", "operator"),
        ("snoozed", "operator"),
        ("snoozed", "operator"),
        ("resolved", "operator"),
    ]
    assert history[3]["until"] == until


def test_what_is_resolved_stays_so_and_that_is_409(client: Client, raised: list[int]) -> None:
    path = f"/alerts/{raised[0]}"
    client.good("POST", f"{path}/resolve")
    for act, body in (("ack", None), ("snooze", {"for": "1h"})):
        status, words = client.bad("POST", f"{path}/{act}", body)
        assert status == 409
        assert "stays so" in words
    assert len(client.get(path)["history"]) == 2


def test_messages_are_sent_again_with_the_ids_they_had(client: Client, database: str) -> None:
    channel("ops")
    budgets.add("shop", period="total", hard_limit=10, thresholds=["100%"])
    support.spend(10, NOW - timedelta(hours=1))
    [alert] = support.told(NOW)
    path = f"/alerts/{alert.id}/replay"
    # It waits already.
    assert client.good("POST", path) == {"again": 0}
    channel("late")
    assert client.good("POST", path, {"channel": "late"}) == {"again": 1}
    assert len(support.messages()) == 2
    assert client.bad("POST", path, {"channel": "nowhere"})[0] == 404


@pytest.mark.parametrize(
    ("act", "body", "words"),
    [
        ("ack", {"note": 7}, "is a text"),
        ("ack", {"comment": "x"}, "'comment'"),
        ("ack", {"note": "a\0b"}, "note"),
        ("ack", {"note": "a" * 1001}, "1,000"),
        ("snooze", {}, "either for"),
        ("snooze", {"for": "1h", "until": "2099-01-01T00:00:00Z"}, "either for"),
        ("snooze", {"for": "91d"}, "at most 90 days"),
        ("snooze", {"for": "0"}, "not a moment"),
        ("snooze", {"until": "2020-01-01T00:00:00Z"}, "not a moment"),
        ("snooze", {"until": "2099-01-01T00:00:00"}, "offset"),
        ("snooze", {"until": "9999-12-31T23:59:59-12:00"}, "not a moment"),
    ],
)
def test_what_makes_no_sense_is_refused(
    client: Client, raised: list[int], act: str, body: object, words: str
) -> None:
    status, said = client.bad("POST", f"/alerts/{raised[0]}/{act}", body)
    assert (status, words in said) == (422, True), said
    assert client.get(f"/alerts/{raised[0]}")["state"] == "open"


def test_what_is_not_there_is_404(client: Client) -> None:
    for which in ("7", "x", "9" * 30, "-1", "%C2%B2"):
        assert client.bad("GET", f"/alerts/{which}")[0] == 404
        for act in ("ack", "resolve", "replay"):
            assert client.bad("POST", f"/alerts/{which}/{act}")[0] == 404
        assert client.bad("POST", f"/alerts/{which}/snooze", {"for": "1h"})[0] == 404


def test_only_a_token_for_alerts_changes_them(service: Service, raised: list[int]) -> None:
    reader = Client(service, "read", "budgets", "channels", name="reader")
    assert reader.get("/alerts")["alerts"]
    for act in ("ack", "snooze", "resolve", "replay"):
        assert reader.bad("POST", f"/alerts/{raised[0]}/{act}", {"for": "1h"})[0] == 403
    person = Client(service, "alerts", name="anna")
    assert person.get("/alerts")["alerts"]
    assert person.good("POST", f"/alerts/{raised[0]}/ack")["state_by"] == "anna"
    assert Client(service, "ingest", name="sender").bad("GET", "/alerts")[0] == 403
