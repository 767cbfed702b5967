"""Spend over HTTP says what the command and the ledger say, to the last digit."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import text

from spend import attributions
from spend.attribution.mix import Mix
from spend.errors import BadInputError
from tests.support import ledger
from tests.support.asking import Client
from tests.support.captured import spendbeat
from tests.support.service import Service
from web import sheets
from worker.cli.spend import chosen_by
from worker.database import transaction

MIXES = (
    Mix(),
    Mix(organization="acme", project="alpha", tags=("env:prod", "batch")),
    Mix(organization="acme", project="beta", tags=("env:test", "env:prod")),
    Mix(organization="=1+1", project='-2"3,4'),
)
# Days on which clocks change in Berlin and in Beirut, where they skip midnight; New Year in Nepal.
DAYS = (
    datetime(2026, 3, 28, 20, 0, tzinfo=UTC),
    datetime(2026, 10, 24, 20, 0, tzinfo=UTC),
    datetime(2025, 12, 31, 10, 0, tzinfo=UTC),
)
ZONES = ("UTC", "Asia/Kathmandu", "Europe/Berlin", "Asia/Beirut", "America/St_Johns")
FIGURES = ("requests", "input_tokens", "output_tokens", "unpriced", "total_cost")
COLUMNS = {name: f"a.{name}" for name in ("organization", "project", "team")} | {
    "provider": "l.provider", "model": "l.model",
    "day": "CAST(CAST(l.started_at AT TIME ZONE :zone AS date) AS text)",
}  # fmt: skip


@pytest.fixture
def client(service: Service) -> Client:
    return Client(service, "read")


@pytest.fixture
def traffic(database: str) -> None:
    """Four requests an hour for a day and a half around each change; every 20th unpriced."""
    with transaction() as session:
        resolved = attributions.resolve(session, dict.fromkeys(MIXES, 1))
        ids = [resolved[mix] for mix in MIXES]  # their order among each other is not told
        for day, begin in enumerate(DAYS):
            rows: list[dict[str, Any]] = [
                {
                    "started_at": begin + timedelta(minutes=15 * n),
                    "provider": ("openai", "anthropic")[n % 2],
                    "model": f"m{n % 3}",
                    "attribution_id": ids[n % 4],
                    "cost_usd": None if n % 20 == 7 else Decimal(n + day) / 7**6,
                    "input_tokens": n,
                    "output_tokens": n % 5,
                }
                for n in range(144)
            ]
            ledger.add(session, rows)
    ledger.roll()


def raw(by: list[str], zone: str, since: datetime | None, until: datetime | None) -> Any:
    """The ledger itself, grouped by hand."""
    keys = ", ".join(COLUMNS[name] for name in by)
    with transaction() as session:
        rows = session.execute(
            text(
                f"SELECT {keys}, count(*), sum(input_tokens), sum(output_tokens),"
                " count(*) FILTER (WHERE cost_usd IS NULL), coalesce(sum(cost_usd), 0)"
                " FROM cost_logs AS l LEFT JOIN attributions AS a ON a.id = l.attribution_id"
                " WHERE started_at >= coalesce(CAST(:since AS timestamptz), '-infinity')"
                " AND started_at < coalesce(CAST(:until AS timestamptz), 'infinity')"
                f" GROUP BY {keys}"
            ),
            {"zone": zone, "since": since, "until": until},
        ).all()
    return {tuple(row[: len(by)]): tuple(row[len(by) :]) for row in rows}


def lines(answer: Any) -> dict[tuple[str | None, ...], tuple[Any, ...]]:
    return {tuple(line[name] for name in answer["by"]): _figures(line) for line in answer["data"]}


def _figures(line: Any) -> tuple[Any, ...]:
    return (*(line[name] for name in FIGURES[:-1]), Decimal(line["total_cost"]))


def sheet(client: Client, query: str, **headers: str) -> httpx.Response:
    named = {"Authorization": client.bearer, **headers}
    answer = client.service.client.get(f"/spend?{query}", headers=named)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("by", ["provider,model", "day", "organization,project", "team,day,model"])
def test_every_grouping_says_what_the_ledger_and_the_command_say(
    client: Client, by: str, zone: str
) -> None:
    ranges = [(None, None), ("2026-03-29", "2026-03-30"), ("2026-10-25", "2026-10-26T00:15")]
    for since, until in ranges:
        named = {"from": since, "to": until}
        query = {"by": by, "zone": zone, **{k: v for k, v in named.items() if v}}
        answer = client.get(f"/spend?{urlencode(query)}&limit=10000")
        here = [
            datetime.fromisoformat(said).replace(tzinfo=ZoneInfo(zone)) if said else None
            for said in (since, until)
        ]
        expected = raw(by.split(","), zone, here[0], here[1])
        assert lines(answer) == expected
        assert len(answer["data"]) == len(expected) > 0
        summed = tuple(map(sum, zip(*expected.values(), strict=True)))
        assert _figures(answer["total"]) == summed
        options = [option for k, v in named.items() if v for option in (f"--{k}", v)]
        said = json.loads(
            spendbeat("spend", "--by", by, "--timezone", zone, "--json", *options).stdout
        )
        assert lines({"by": by.split(","), "data": said}) == expected


@pytest.mark.usefixtures("traffic")
def test_a_day_on_which_clocks_change_has_23_or_25_hours(client: Client) -> None:
    answer = client.get("/spend?by=day&zone=Europe/Berlin&limit=1000")
    requests = {line["day"]: line["requests"] for line in answer["data"]}
    assert (requests["2026-03-29"], requests["2026-10-25"]) == (23 * 4, 25 * 4)
    skipped = client.get("/spend?by=day&zone=Asia/Beirut&from=2026-03-29&to=2026-03-30")
    assert [(line["day"], line["requests"]) for line in skipped["data"]] == [("2026-03-29", 23 * 4)]
    assert skipped["from"] == "2026-03-28T22:00:00+00:00"


@pytest.mark.usefixtures("traffic")
def test_a_request_with_several_tags_is_once_in_the_total(client: Client) -> None:
    answer = client.get("/spend?by=tag:env")
    requests = {line["tag:env"]: line["requests"] for line in answer["data"]}
    assert requests == {"prod": 216, "test": 108, None: 216}
    assert answer["total"]["requests"] == 432


@pytest.mark.usefixtures("traffic")
def test_what_is_unpriced_makes_it_at_least(client: Client) -> None:
    answer = client.get("/spend?by=provider")
    assert {line["provider"]: (line["unpriced"], line["at_least"]) for line in answer["data"]} == {
        "openai": (0, False), "anthropic": (21, True)
    }  # fmt: skip
    assert (answer["total"]["unpriced"], answer["total"]["at_least"]) == (21, True)


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("by", ["day,model", "organization,project", "tag,provider"])
def test_pages_hold_every_line_once_in_order(client: Client, by: str) -> None:
    with transaction() as session:
        # Lines of equal cost, with nothing, an empty text and more in the same place.
        some = (None, "", "z")
        mixes = [(number, o, p) for number, (o, p) in enumerate((o, p) for o in some for p in some)]
        for number, organization, project in mixes:
            ledger.execute(
                session,
                "INSERT INTO attributions (id, digest, organization, project) OVERRIDING SYSTEM"
                " VALUE VALUES (:id, gen_random_uuid(), :organization, :project)",
                id=900 + number, organization=organization, project=project,
            )  # fmt: skip
            ledger.add(session, attribution_id=900 + number, provider="same", model=f"s{number}")
    ledger.roll()
    whole = client.get(f"/spend?by={by}&limit=10000")
    costs = [Decimal(line["total_cost"]) for line in whole["data"]]
    assert costs == sorted(costs, reverse=True)
    found: list[Any] = []
    following: str | None = ""
    while following is not None:
        page = client.get(f"/spend?by={by}&limit=2" + (f"&after={following}" if following else ""))
        assert len(page["data"]) == 2 or page["next"] is None
        assert page["total"] == whole["total"]
        found += page["data"]
        following = page["next"]
    assert found == whole["data"]
    assert whole["next"] is None


@pytest.mark.usefixtures("traffic")
def test_a_filter_chooses_requests_over_http_and_on_the_command_line(client: Client) -> None:
    chosen = {"organization": ["acme"], "tag:env": ["test"]}
    answer = client.get("/spend?by=project,tag&organization=acme&tag%3Aenv=test")
    assert answer["only"] == chosen
    assert {(line["project"], line["tag"], line["requests"]) for line in answer["data"]} == {
        ("beta", "env:prod", 108), ("beta", "env:test", 108)
    }  # fmt: skip
    assert answer["total"]["requests"] == 108
    options = [option for name, (v,) in chosen.items() for option in ("--only", f"{name}={v}")]
    said = json.loads(spendbeat("spend", "--by", "project,tag", *options, "--json").stdout)
    assert lines({"by": ["project", "tag"], "data": said}) == lines(answer)
    nobody = client.get("/spend?by=organization&organization=&tag=")
    assert [(line["organization"], line["requests"]) for line in nobody["data"]] == [(None, 108)]
    assert nobody["total"]["requests"] == 108
    sheets_of = sheet(client, "by=project&project=beta&project=alpha&format=csv&limit=1")
    assert "project=beta&project=alpha" in sheets_of.headers["Link"]
    narrow = client.get("/aggregate?provider=openai&organization=acme")
    assert {line["provider"] for line in narrow["data"]} == {"openai"}
    whole = client.get("/spend?by=provider&provider=openai&organization=acme")["total"]
    found = sum((Decimal(line["total_cost"]) for line in narrow["data"]), Decimal(0))
    assert found == Decimal(whole["total_cost"]) > 0


def test_no_spend_is_a_plain_zero_in_json(database: str) -> None:
    with transaction() as session:
        ledger.add(session, cost_usd=None)
    ledger.roll()
    assert json.loads(spendbeat("spend", "--json").stdout)[0]["total_cost"] == "0"


def test_an_only_without_a_name_is_said() -> None:
    with pytest.raises(BadInputError, match="--only is NAME=VALUE"):
        chosen_by(["shop"])


@pytest.mark.usefixtures("traffic")
def test_aggregate_is_the_list_of_spend_by_provider_and_model(client: Client) -> None:
    answer = client.get("/aggregate")
    expected = raw(["provider", "model"], "UTC", None, None)
    found = {(one["provider"], one["model"]): one for one in answer["data"]}
    assert answer["records"] == len(answer["data"]) == len(expected) == 6
    assert {key: Decimal(one["total_cost"]) for key, one in found.items()} == {
        key: figures[-1] for key, figures in expected.items()
    }
    assert {key: one["unpriced"] for key, one in found.items()} == {
        key: figures[-2] for key, figures in expected.items()
    }
    assert all(isinstance(one["total_cost"], str) for one in answer["data"])
    numbers = client.get("/aggregate?money=number")["data"]
    assert [one["total_cost"] for one in numbers] == [
        float(one["total_cost"]) for one in answer["data"]
    ]
    some = client.get("/aggregate?provider=openai&provider=nobody&model=m1&model=m2")
    assert [(one["provider"], one["model"]) for one in some["data"]] == [
        key for key in ((one["provider"], one["model"]) for one in answer["data"])
        if key in {("openai", "m1"), ("openai", "m2")}
    ]  # fmt: skip
    assert some["records"] == 2
    assert client.get("/aggregate?model=m9")["records"] == 0
    first = client.get("/aggregate?limit=4")
    rest = client.get(f"/aggregate?limit=4&after={first['next']}")
    assert first["records"] == 4
    assert first["data"] + rest["data"] == answer["data"]
    assert rest["next"] is None


@pytest.mark.usefixtures("database")
def test_nothing_counted_is_an_answer(client: Client) -> None:
    answer = client.get("/spend?by=day")
    assert (answer["data"], answer["total"]["total_cost"]) == ([], "0")
    assert (answer["counted_to"], answer["counted_seconds_ago"]) == (None, None)
    empty = client.get("/aggregate")
    assert (empty["records"], empty["data"], empty["counted_to"]) == (0, [], None)


@pytest.mark.usefixtures("database")
def test_counted_to_is_the_newest_tick_that_all_shards_have_counted(client: Client) -> None:
    def at(tick: int | None) -> datetime:
        return ledger.scalar("SELECT at FROM ticks WHERE id = :tick", tick=tick)  # type: ignore[no-any-return]  # a time

    def said() -> datetime:
        answer = client.get("/aggregate")
        assert client.get("/spend")["counted_to"] == answer["counted_to"]
        found = datetime.fromisoformat(answer["counted_to"])
        age = (datetime.now(UTC) - found).total_seconds()
        assert 0 <= answer["counted_seconds_ago"] <= age
        return found

    with transaction() as session:
        ledger.add(session, [{"provider": "a"}, {"provider": "b"}])
    ledger.roll()
    quiet = ledger.tick().tick_id
    assert said() == at(quiet)
    with transaction() as session:
        ledger.add(session, [{"provider": "a"}, {"provider": "b"}])
    news = ledger.tick().tick_id
    ledger.tick()
    ledger.advance("a")
    assert said() == at(quiet)
    ledger.advance("b")
    assert said() > at(news)


FORMULAS = (
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1", "'=1", "'", "a=1",
    "a;=1", 'a",=1', "1-1", "a\r\nb", "caf\u00e9",
)  # fmt: skip


@pytest.mark.usefixtures("database")
def test_no_value_can_run_in_a_spreadsheet_and_each_can_be_read_back(client: Client) -> None:
    with transaction() as session:
        for number, project in enumerate(FORMULAS, 1):
            ledger.execute(
                session,
                "INSERT INTO attributions (id, digest, project) OVERRIDING SYSTEM VALUE"
                " VALUES (:id, gen_random_uuid(), :project)",
                id=900 + number, project=project,
            )  # fmt: skip
            ledger.add(session, attribution_id=900 + number, cost_usd=Decimal(number))
        ledger.add(session, provider="back", cost_usd=Decimal("-2.5"))
    ledger.roll()
    answer = sheet(client, "by=project&format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    header, *rows = list(csv.reader(io.StringIO(answer.content.decode(), newline="")))
    assert header == ["project", *FIGURES]
    for row in rows:
        assert row[0].strip()[:1] not in tuple("=+-@\uff1d"), row
    assert {row[0].removeprefix("'"): Decimal(row[-1]) for row in rows} == {
        **{project: Decimal(number) for number, project in enumerate(FORMULAS, 1)},
        "": Decimal("-2.5"),
    }
    # A separator that is not ours ends no value: every text is quoted.
    assert b'"a;=1"' in answer.content
    assert b'"a"",=1"' in answer.content
    assert b"\r\n" in answer.content


@pytest.mark.usefixtures("traffic")
def test_csv_says_what_json_says(client: Client) -> None:
    answer = client.get("/spend?by=day,project&zone=Asia/Kathmandu&limit=5")
    found = sheet(client, "by=day,project&zone=Asia/Kathmandu&limit=5", Accept="text/csv")
    rows = list(csv.DictReader(io.StringIO(found.text, newline="")))
    assert [
        {**row, "project": row["project"].removeprefix("'") or None} for row in rows
    ] == [
        {name: value if value is None else str(value) for name, value in line.items()
         if name != "at_least"}
        for line in answer["data"]
    ]  # fmt: skip
    assert found.headers["spendbeat-total-cost"] == answer["total"]["total_cost"]
    assert found.headers["spendbeat-unpriced"] == "21"
    assert found.headers["spendbeat-at-least"] == "true"
    assert found.headers["spendbeat-counted-to"] == answer["counted_to"]
    assert found.headers["vary"] == "Accept"
    following = sheet(client, found.links["next"]["url"].removeprefix("?"), Accept="text/csv")
    other = client.get(f"/spend?by=day,project&zone=Asia/Kathmandu&limit=5&after={answer['next']}")
    days = [row["day"] for row in csv.DictReader(io.StringIO(following.text, newline=""))]
    assert days == [line["day"] for line in other["data"]]
    sheet(client, following.links["next"]["url"].removeprefix("?"), Accept="text/csv")


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("query", "accept", "wanted"),
    [
        ("", "*/*", "application/json"),
        ("", "text/csv", "text/csv"),
        ("", "application/json, text/csv;q=0.5", "application/json"),
        ("", "text/html, text/csv; charset=utf-8; q=0.8, */*;q=0.1", "text/csv"),
        ("", "application/json, text/csv", "text/csv"),
        ("", "text/csv;q=0", "application/json"),
        ("", "text/csv;q=x", "application/json"),
        ("format=json", "text/csv", "application/json"),
        ("format=csv", "application/json", "text/csv"),
    ],
)
def test_csv_comes_to_whom_asks_for_it(
    client: Client, query: str, accept: str, wanted: str
) -> None:
    assert sheet(client, query, Accept=accept).headers["content-type"].startswith(wanted)


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("by=colour", "choose from provider"),
        ("by=", "choose from provider"),
        ("by=day,day", "'day' twice"),
        ("by=tag:a,tag:b,tag:c,tag:d,tag:e,tag:f,tag:g", "it can have 6"),
        ("by=tag:a%00b", "U+0000"),
        ("by=day&by=model", "by is there more than once"),
        ("zone=Mars/Phobos", "'Mars/Phobos' is not a time zone"),
        ("zone=../UTC", "not a time zone"),
        ("zone=", "not a time zone"),
        ("from=yesterday", "from is a date or time"),
        ("from=2026-11-21T09:15:00+05:45", "%2B"),
        ("from=2026-11-21T09:07", "quarter of an hour"),
        ("to=0001-01-01&zone=Asia/Kathmandu", "to is a date or time"),
        ("from=2026-11-21&to=2026-11-21", "from has to be before to"),
        ("limit=0", "1 to 10000"),
        ("limit=10001", "1 to 10000"),
        ("after=x", "after is what"),
        ("after=WyIxIl0=", "after is what"),
        ("after=WyJOYU4iLCJhIiwiYiJd", "after is what"),
        ("after=WyIxZTk5OTk5IiwiYSIsImIiXQ==", "after is what"),
        ("after=WyIxIiwiYSIsWzFdXQ==", "after is what"),
        ("format=xml", "json, csv"),
        ("projekt=shop", "no parameter 'projekt'"),
    ],
)
def test_what_cannot_be_answered_is_400_and_says_why(
    client: Client, query: str, words: str
) -> None:
    status, said = client.bad("GET", f"/spend?{query}")
    assert (status, words in said) == (400, True), said


@pytest.mark.usefixtures("database")
def test_a_wrong_parameter_of_aggregate_is_400(client: Client) -> None:
    for query in (
        "by=day", "money=float", "provider=a%00", "after=WyIxIl0=", "limit=x",
        f"after={quote('é')}",
    ):  # fmt: skip
        assert client.bad("GET", f"/aggregate?{query}")[0] == 400, query


def test_only_read_may_look(service: Service) -> None:
    other = Client(service, "ingest", "guard", "budgets", "channels", "alerts", name="other")
    for path in ("/aggregate", "/spend"):
        assert other.bad("GET", path)[0] == 403
        assert service.client.get(path, headers={"Authorization": ""}).status_code == 401


def test_formulas_are_told_from_numbers_within_a_text() -> None:
    assert [sheets.safe(value) for value in ("a-1", "1", "", "-", "'a")] == [
        "a-1", "1", "", "'-", "''a"
    ]  # fmt: skip
