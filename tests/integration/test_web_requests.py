"""Requests one by one: each once, with what it really costs, and only those somebody may see."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from spend import attributions, ledger_rows, requests, tokens
from spend.attribution.mix import Mix
from spend.capture.desk import Desk
from spend.facts import Span
from spend.ledger_rows import Place
from spend.tenancy import Binding
from tests.support import ledger
from tests.support.asking import Client
from tests.support.captured import spendbeat
from tests.support.service import Service
from worker.database import engine, transaction

NOW = datetime.now(UTC)
BEGIN = (NOW - timedelta(days=3)).replace(minute=7, second=0, microsecond=0)
MIXES = (
    Mix(),
    Mix(organization="acme", project="alpha", tags=("batch", "env:prod")),
    Mix(organization="acme", project="beta", user_id="=1+1"),
    Mix(organization="globex", project="alpha"),
)


@pytest.fixture
def client(service: Service) -> Client:
    return Client(service, "read")


@pytest.fixture
def traffic(database: str) -> None:
    """Ninety requests over a day and a half; several at one moment, every seventh unpriced."""
    book(range(90))


def book(numbers: Sequence[int] | range, **more: Any) -> None:
    with transaction() as session:
        known = attributions.resolve(session, dict.fromkeys(MIXES, 1))
        ids = [known[mix] for mix in MIXES]
        ledger.add(
            session,
            [
                {
                    "started_at": BEGIN + timedelta(minutes=47 * (n // 3)),
                    "provider": ("openai", "anthropic")[n % 2],
                    "model": f"m{n % 3}",
                    "attribution_id": ids[n % len(ids)],
                    "cost_usd": None if n % 7 == 3 else Decimal(n + 1) / 1000,
                    "status": "failure" if n % 10 == 9 else "success",
                    "request_id": f"req-{n}",
                    "trace_id": f"trace-{n // 5}",
                    "input_tokens": n,
                    **more,
                }
                for n in numbers
            ],
        )
    ledger.roll()


def pages(client: Client, query: str) -> Iterator[list[Any]]:
    following: str | None = ""
    while following is not None:
        found = client.get(f"/requests?{query}" + (f"&after={following}" if following else ""))
        yield found["data"]
        following = found["next"]


def numbers(found: Sequence[Any]) -> list[int]:
    return [int(one["request_id"].removeprefix("req-")) for one in found]


@pytest.mark.usefixtures("traffic")
def test_the_newest_come_first_and_a_page_ends_between_two_of_one_moment(client: Client) -> None:
    whole = client.get("/requests?limit=1000")
    assert sorted(numbers(whole["data"])) == list(range(90))
    order = [(one["started_at"], one["id"]) for one in whole["data"]]
    assert order == sorted(order, reverse=True)
    assert whole["next"] is None
    found = [one for page in pages(client, "limit=4") for one in page]
    assert found == whole["data"]


@pytest.mark.usefixtures("traffic")
def test_every_request_comes_once_while_others_are_written_and_counted(client: Client) -> None:
    found: list[int] = []
    for number, page in enumerate(pages(client, "limit=7")):
        found += numbers(page)
        # Newer and older than the page, into quarters of an hour that there are and new ones.
        late = BEGIN + timedelta(minutes=31 * number)
        book([1000 + number], started_at=late)
        book([2000 + number], started_at=NOW)
    assert len(found) == len(set(found))
    assert set(range(90)) <= set(found)


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("provider=openai", lambda n: n % 2 == 0),
        ("organization=acme&model=m1&model=m2", lambda n: n % 4 in (1, 2) and n % 3 > 0),
        ("project=", lambda n: n % 4 == 0),
        ("tag=batch", lambda n: n % 4 == 1),
        ("tag%3Aenv=", lambda n: n % 4 != 1),
        ("status=failure", lambda n: n % 10 == 9),
        ("unpriced=true", lambda n: n % 7 == 3),
        ("unpriced=false&project=alpha", lambda n: n % 7 != 3 and n % 4 in (1, 3)),
        ("trace_id=trace-4", lambda n: n // 5 == 4),
        ("request_id=req-11", lambda n: n == 11),
        ("project=nobody", lambda _: False),
    ],
)
def test_filters_choose_what_they_say(client: Client, query: str, fits: Any) -> None:
    expected = [n for n in range(90) if fits(n)]
    for most in (1000, 3):
        found = [n for page in pages(client, f"{query}&limit={most}") for n in numbers(page)]
        assert sorted(found) == expected


@pytest.mark.usefixtures("traffic")
def test_a_range_begins_and_ends_at_any_moment(client: Client) -> None:
    first, last = BEGIN + timedelta(minutes=47 * 3), BEGIN + timedelta(minutes=47 * 6)
    query = urlencode({"from": first.isoformat(), "to": last.isoformat(), "limit": 5})
    found = [n for page in pages(client, query) for n in numbers(page)]
    assert sorted(found) == list(range(9, 18))
    local = first.astimezone(UTC) + timedelta(hours=5, minutes=45)
    named = {"from": local.replace(tzinfo=None).isoformat(), "zone": "Asia/Kathmandu"}
    answer = client.get(f"/requests?{urlencode(named)}&limit=1000")
    assert sorted(numbers(answer["data"])) == list(range(9, 90))
    assert datetime.fromisoformat(answer["from"]) == first


@pytest.mark.usefixtures("database")
def test_without_a_range_it_is_seven_days_but_an_id_is_looked_for_everywhere(
    client: Client,
) -> None:
    book([1], started_at=NOW - timedelta(days=40))
    book([2], started_at=NOW - timedelta(days=6))
    answer = client.get("/requests")
    assert numbers(answer["data"]) == [2]
    assert datetime.fromisoformat(answer["from"]) < NOW - timedelta(days=6, hours=23)
    assert numbers(client.get("/requests?request_id=req-1")["data"]) == [1]


@pytest.mark.usefixtures("traffic")
def test_only_quarters_of_an_hour_with_what_fits_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A month of others is not looked at for the few requests of one user."""
    read: list[Span] = []

    def watched(session: Any, wanted: Any, spans: Sequence[Span], most: int) -> Any:
        read.extend(spans)
        return ledger_rows.read(session, wanted, spans, most)

    monkeypatch.setattr("spend.requests.read", watched)
    with transaction("spendbeat_reader") as session:
        found = requests.page(session, only={"project": ["beta"]}, most=3)
    spans = [(span.since, span.until) for span in read]
    assert len(found.requests) == 3
    length = sum((b - a for a, b in spans if a and b), timedelta())
    assert length <= timedelta(minutes=15) * 4


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("named", [{"ids": {"trace_id": "trace-2"}}, {"status": "failure"}])
def test_who_has_no_patience_gets_short_pages_and_everything_in_the_end(named: Any) -> None:
    found: list[int] = []
    after: Place | None = None
    short = 0
    with transaction("spendbeat_reader") as session:
        while True:
            page = requests.page(session, most=5, after=after, patience=0, **named)
            found += [int((one.request_id or "").removeprefix("req-")) for one in page.requests]
            if page.following is None:
                break
            short += len(page.requests) < 5
            after = page.following
    fits = range(10, 15) if "ids" in named else range(9, 90, 10)
    assert sorted(found) == list(fits)
    assert short > 0


@pytest.mark.usefixtures("database")
def test_costs_are_net_of_what_was_corrected_and_null_while_nobody_knows(client: Client) -> None:
    with transaction() as session:
        ids = (
            "INSERT INTO price_versions (id, source, version) OVERRIDING SYSTEM VALUE VALUES"
            " (71, 'list', 'ours'), (72, 'reprice', '3'), (73, 'reprice-undo', '3')"
        )
        ledger.execute(session, ids)
        at = BEGIN
        for row, cost in ((901, Decimal(5)), (902, None), (903, None), (904, Decimal(1))):
            ledger.add(
                session, id=row, started_at=at, cost_usd=cost, request_id=f"req-{row}",
                price_version_id=71 if cost else 0, input_tokens=10,
                gateway_cost_usd=Decimal("4.5") if row == 901 else None,
            )  # fmt: skip
        corrected: dict[str, Any] = {"started_at": at}
        ledger.add(session, adjusts_id=901, cost_usd=Decimal("-1.25"), input_tokens=-3,
                   price_version_id=72, **corrected)  # fmt: skip
        ledger.add(session, adjusts_id=902, cost_usd=Decimal(2), unpriced=-1,
                   price_version_id=72, **corrected)  # fmt: skip
        # Given a cost, and taken back again; and one that an undo made unpriced.
        ledger.add(session, adjusts_id=903, cost_usd=Decimal(2), unpriced=-1,
                   price_version_id=72, **corrected)  # fmt: skip
        ledger.add(session, adjusts_id=903, cost_usd=Decimal(-2), unpriced=1,
                   price_version_id=73, **corrected)  # fmt: skip
        ledger.add(session, adjusts_id=904, cost_usd=Decimal(-1), unpriced=1,
                   price_version_id=73, **corrected)  # fmt: skip
    ledger.roll()
    found = {one["id"]: one for one in client.get("/requests")["data"]}
    assert {id_: one["cost_usd"] for id_, one in found.items()} == {
        901: "3.75", 902: "2", 903: None, 904: None
    }  # fmt: skip
    assert [found[901][name] for name in ("booked_usd", "adjustments", "input_tokens")] == [
        "5", 1, 7
    ]  # fmt: skip
    assert [found[n]["priced_by"] for n in (901, 902, 903)] == [
        "reprice",
        "reprice",
        "reprice-undo",
    ]
    for unpriced, rows in (("true", {903, 904}), ("false", {901, 902})):
        answer = client.get(f"/requests?unpriced={unpriced}")
        assert {one["id"] for one in answer["data"]} == rows
    total = client.get("/spend")["total"]
    costs = [Decimal(one["cost_usd"]) for one in found.values() if one["cost_usd"]]
    assert Decimal(total["total_cost"]) == sum(costs)
    assert total["unpriced"] == 2
    one = client.get("/requests/903")
    assert [(c["cost_usd"], c["unpriced"], c["priced_by"]) for c in one["corrections"]] == [
        ("2", -1, "reprice"), ("-2", 1, "reprice-undo")
    ]  # fmt: skip
    full = client.get("/requests/901")
    assert (full["gateway_cost_usd"], full["corrections"][0]["tokens"]) == (
        "4.5", {"input_tokens": -3}
    )  # fmt: skip
    assert {name: full[name] for name in found[901]} == found[901]
    with transaction("spendbeat_reader") as session:
        correction = session.scalar(text("SELECT min(id) FROM cost_logs WHERE adjusts_id = 901"))
    assert client.bad("GET", f"/requests/{correction}")[0] == 404


@pytest.mark.usefixtures("database")
def test_a_request_is_found_by_any_of_its_ids(client: Client) -> None:
    with_others = {
        "id": "resp-1", "other_ids": ["call-1"], "started_at": BEGIN, "provider": "openai",
        "model": "gpt-4o", "input_tokens": 10, "output_tokens": 1,
    }  # fmt: skip
    Desk(engine()).book([with_others], route="http")
    ledger.roll()
    for named in ("resp-1", "call-1"):
        found = client.get(f"/requests?request_id={named}")["data"]
        assert [one["request_id"] for one in found] == ["resp-1"]
    assert client.get("/requests?request_id=call-1&provider=anthropic")["data"] == []
    assert client.get("/requests?request_id=nobody")["data"] == []


@pytest.mark.usefixtures("traffic")
def test_a_bound_token_sees_its_own_requests_and_no_others(
    client: Client, service: Service
) -> None:
    with transaction() as session:
        _, secret = tokens.create(session, "bound", ["read"], Binding(organization="acme"))
    named = {"Authorization": f"Bearer {secret}"}
    answer = client.call("GET", "/requests?limit=1000", headers=named).json()
    assert sorted(numbers(answer["data"])) == [n for n in range(90) if n % 4 in (1, 2)]
    assert {one["priced_by"] for one in answer["data"]} == {"given"}
    mine = answer["data"][0]["id"]
    everybodys = client.get("/requests?limit=1000")["data"]
    others = next(one for one in everybodys if one["organization"] != "acme")
    assert client.call("GET", f"/requests/{mine}", headers=named).status_code == 200
    assert client.call("GET", f"/requests/{others['id']}", headers=named).status_code == 404
    for hidden in (f"request_id={others['request_id']}", "organization=globex", "organization="):
        found = client.call("GET", f"/requests?{hidden}", headers=named).json()
        assert found["data"] == []
    found = client.call("GET", f"/requests?request_id=req-{numbers(answer['data'])[0]}",
                        headers=named).json()  # fmt: skip
    assert [one["id"] for one in found["data"]] == [mine]


@pytest.mark.usefixtures("traffic")
def test_a_sheet_runs_nothing_and_leaves_out_what_is_not_known(client: Client) -> None:
    query = "/requests?format=csv&limit=10&project=beta"
    answer = service_get(client, query)
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "after=" in answer.headers["Link"]
    assert "project=beta" in answer.headers["Link"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    same = client.get("/requests?limit=10&project=beta")["data"]
    assert [row["cost_usd"] for row in rows] == [one["cost_usd"] or "" for one in same]
    assert [int(row["id"]) for row in rows] == [one["id"] for one in same]
    assert {row["user_id"] for row in rows} == {"'=1+1"}
    assert "" in {row["cost_usd"] for row in rows}
    tagged = service_get(client, "/requests?format=csv&limit=1&tag=batch").text
    assert "batch,env:prod" in next(csv.DictReader(io.StringIO(tagged)))["tags"]


def service_get(client: Client, path: str) -> Any:
    answer = client.service.client.get(path, headers={"Authorization": client.bearer})
    assert answer.is_success, answer.text
    return answer


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("colour=red", "no parameter 'colour'"),
        ("status=fine", "status is one of"),
        ("unpriced=perhaps", "unpriced is true or false"),
        ("limit=1001", "1 to 1000"),
        ("after=x", "after is what"),
        ("after=WyIyMDI2LTExLTIyIiwxXQ==", "after is what"),
        ("from=2026-11-21&to=2026-11-20", "from has to be before to"),
        ("zone=Mars", "not a time zone"),
        ("trace_id=a&trace_id=b", "more than once"),
        ("trace_id=a%00b", "U+0000"),
        ("to=0001-01-02&zone=UTC", None),
    ],
)
def test_what_cannot_be_answered_is_400_and_says_why(
    client: Client, query: str, words: str | None
) -> None:
    if words is None:
        assert client.get(f"/requests?{query}")["data"] == []
        return
    status, said = client.bad("GET", f"/requests?{query}")
    assert (status, words in said) == (400, True), said


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("id_", ["1", "x", "-1", "9" * 30, "9223372036854775808", "1%2F2"])
def test_a_request_that_is_not_there_is_404(client: Client, id_: str) -> None:
    assert client.call("GET", f"/requests/{id_}").status_code == 404


@pytest.mark.usefixtures("traffic")
def test_the_command_says_the_same(client: Client) -> None:
    options = ("--only", "project=alpha", "--status", "success", "--limit", "4")
    said = json.loads(spendbeat("requests", *options, "--json").stdout)
    asked = client.get("/requests?project=alpha&status=success&limit=4")
    assert said["data"] == asked["data"]
    more = json.loads(spendbeat("requests", *options, "--after", said["next"], "--json").stdout)
    following = client.get(f"/requests?project=alpha&status=success&limit=4&after={asked['next']}")
    assert more["data"] == following["data"]
    shown = spendbeat("requests", "--unpriced", "--limit", "1").stdout
    assert "not known" in shown
    assert "--after" in shown
    one = spendbeat("requests", "--id", str(said["data"][0]["id"])).stdout
    assert said["data"][0]["request_id"] in one
    assert "1 more" not in spendbeat("requests", "--only", "project=nobody").stdout
