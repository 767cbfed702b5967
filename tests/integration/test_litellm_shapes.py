"""Who asks LiteLLM's proxy about spend can ask here: its shapes, and the figures of /spend."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from spend import attributions, tokens
from spend.attribution.mix import Mix
from spend.tenancy import Binding
from tests.support import ledger, litellm
from tests.support.asking import Client
from tests.support.service import Service
from worker.database import transaction

BEGIN = datetime(2026, 10, 23, 20, 0, tzinfo=UTC)
MIXES = (
    Mix(),
    Mix(user_id="ann", team="core", api_key="k1", organization="acme", tags=("batch", "eval")),
    Mix(user_id="ann", team="core", api_key="k2", organization="acme", tags=("eval",)),
    Mix(user_id="bob", team="edge", api_key="k2", organization="globex"),
)
RANGE = "start_date=2026-10-23&end_date=2026-10-26"


@pytest.fixture
def client(service: Service) -> Client:
    return Client(service, "read")


@pytest.fixture
def traffic(database: str) -> None:
    with transaction() as session:
        known = attributions.resolve(session, dict.fromkeys(MIXES, 1))
        ledger.add(
            session,
            [
                {
                    "started_at": BEGIN + timedelta(minutes=40 * n),
                    "provider": ("openai", "anthropic")[n % 2],
                    "model": f"m{n % 3}",
                    "attribution_id": known[MIXES[n % 4]],
                    # Amounts whose doubles and sums of doubles differ in the last digits.
                    "cost_usd": None if n % 13 == 5 else Decimal(n + 1) / 10**9 + Decimal("0.1"),
                    "input_tokens": 100 + n,
                    "output_tokens": n,
                    "cache_read_tokens": n // 2,
                    "cache_write_tokens": 1,
                    "cache_write_1h_tokens": 2,
                }
                for n in range(80)
            ],
        )
    ledger.roll()


def spent(client: Client, by: str, more: str = "") -> dict[tuple[Any, ...], Any]:
    query = f"/spend?by={by}&from=2026-10-23&to=2026-10-27&limit=10000{more}"
    return {
        tuple(line[name] or "Unassigned" for name in by.split(",")): line
        for line in client.get(query)["data"]
    }


def same(metrics: Any, line: Any) -> None:
    assert metrics["spend"] == float(line["total_cost"])
    assert (metrics["prompt_tokens"], metrics["completion_tokens"]) == (
        line["input_tokens"], line["output_tokens"]
    )  # fmt: skip
    assert metrics["total_tokens"] == line["input_tokens"] + line["output_tokens"]
    assert (metrics["api_requests"], metrics["unpriced"]) == (line["requests"], line["unpriced"])


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize(
    ("kind", "dimension"),
    [("user", "user_id"), ("team", "team"), ("tag", "tag"), ("organization", "organization")],
)
def test_every_figure_of_an_activity_is_one_of_spend(
    client: Client, kind: str, dimension: str
) -> None:
    answer = client.get(f"/{kind}/daily/activity?{RANGE}")
    days = {day["date"]: day for day in answer["results"]}
    assert list(days) == sorted(days, reverse=True) == [f"2026-10-{d}" for d in (26, 25, 24, 23)]
    for (day,), line in spent(client, "day").items():
        same(days[day]["metrics"], line)
    parts = {"models": "model", "providers": "provider", "api_keys": "api_key"}
    for part, name in {**parts, "entities": dimension}.items():
        found = {
            (day, of): one
            for day, said in days.items()
            for of, one in said["breakdown"][part].items()
        }
        expected = spent(client, f"day,{name}")
        assert found.keys() == expected.keys()
        for key, line in expected.items():
            same(found[key]["metrics"], line)
        if part == "api_keys":
            continue
        for (day, of, key), line in spent(client, f"day,{name},api_key").items():
            same(found[day, of]["api_key_breakdown"][key]["metrics"], line)
    whole = client.get("/spend?from=2026-10-23&to=2026-10-27")["total"]
    totals = {name.removeprefix("total_"): v for name, v in answer["metadata"].items()}
    same({**totals, "total_tokens": answer["metadata"]["total_tokens"]}, whole)


@pytest.mark.usefixtures("traffic")
def test_litellms_own_models_read_an_activity(client: Client, tmp_path: Path) -> None:
    for path in ("/user/daily/activity", "/user/daily/activity/aggregated"):
        answer = client.get(f"{path}?{RANGE}")
        file = tmp_path / "answer.json"
        file.write_text(json.dumps(answer))
        read = litellm.calls("read_activity.py", {}, str(file))
        assert read["spend"] == answer["metadata"]["total_spend"] > 0
        assert read["requests"] == 80
        assert read["days"] == {day["date"]: day["metrics"]["spend"] for day in answer["results"]}
        assert read["users"] == ["Unassigned", "ann", "bob"]
        assert read["keys"] == ["Unassigned", "k1", "k2"]


@pytest.mark.usefixtures("traffic")
def test_pages_have_whole_days_and_add_up(client: Client) -> None:
    whole = client.get(f"/team/daily/activity/aggregated?{RANGE}")
    found: list[Any] = []
    totals: dict[str, int] = defaultdict(int)
    for page in range(1, 9):
        answer = client.get(f"/team/daily/activity?{RANGE}&page_size=3&page={page}")
        found += answer["results"]
        for name, value in answer["metadata"].items():
            totals[name] += value
        assert answer["metadata"]["total_pages"] == 2
        if not answer["metadata"]["has_more"]:
            break
    assert page == 2
    assert found == whole["results"]
    assert totals["total_api_requests"] == whole["metadata"]["total_api_requests"] == 80
    beyond = client.get(f"/team/daily/activity?{RANGE}&page_size=3&page=3")
    assert (beyond["results"], beyond["metadata"]["total_api_requests"]) == ([], 0)


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize(
    ("query", "filters"),
    [
        ("/user/daily/activity?user_id=ann", "user_id=ann"),
        ("/user/daily/activity?user_id=Unassigned&model=m1", "user_id=&model=m1"),
        ("/team/daily/activity?team_ids=core,edge&api_key=k2", "team=core&team=edge&api_key=k2"),
        ("/tag/daily/activity?tags=batch", "tag=batch"),
        ("/organization/daily/activity?organization_ids=acme", "organization=acme"),
    ],
)
def test_its_filters_are_ours(client: Client, query: str, filters: str) -> None:
    answer = client.get(f"{query}&{RANGE}")
    total = client.get(f"/spend?from=2026-10-23&to=2026-10-27&{filters}")["total"]
    assert answer["metadata"]["total_spend"] == float(total["total_cost"]) > 0
    assert answer["metadata"]["total_api_requests"] == total["requests"]
    entities = {name for day in answer["results"] for name in day["breakdown"]["entities"]}
    assert "batch" not in entities or entities == {"batch"}


@pytest.mark.usefixtures("traffic")
def test_days_are_those_of_the_zone_that_is_asked_for(client: Client) -> None:
    answer = client.get(
        "/user/daily/activity?start_date=2026-10-25&end_date=2026-10-25&zone=Europe/Berlin"
    )
    named = "from=2026-10-25&to=2026-10-26&zone=Europe/Berlin"
    line = client.get(f"/spend?{named}")["total"]
    assert [day["date"] for day in answer["results"]] == ["2026-10-25"]
    same(answer["results"][0]["metrics"], line)
    ignored = client.get(f"/user/daily/activity?{RANGE}&timezone=480")
    assert ignored == client.get(f"/user/daily/activity?{RANGE}")


@pytest.mark.usefixtures("traffic")
def test_reports_by_key_user_and_team_add_up(client: Client) -> None:
    whole = float(client.get("/spend?from=2026-10-23&to=2026-10-27")["total"]["total_cost"])
    keys = client.get(f"/global/spend/report?group_by=api_key&{RANGE}")
    assert [row["total_cost"] for row in keys] == sorted(
        (row["total_cost"] for row in keys), reverse=True
    )
    lines = spent(client, "api_key,model")
    for row in keys:
        for model in row["model_details"]:
            line = lines.pop((row["api_key"], model["model"]))
            assert model["total_cost"] == float(line["total_cost"])
            assert model["total_input_tokens"] == line["input_tokens"]
            assert model["unpriced"] == line["unpriced"]
    assert not lines
    assert keys == client.get(f"/key/spend/report?{RANGE}")
    teams = client.get(f"/global/spend/report?{RANGE}")
    assert [day["group_by_day"][:10] for day in teams] == [f"2026-10-{d}" for d in range(23, 27)]
    found = {
        (day["group_by_day"][:10], team["team_name"]): team["total_spend"]
        for day in teams
        for team in day["teams"]
    }
    assert found == {
        key: float(line["total_cost"]) for key, line in spent(client, "day,team").items()
    }
    assert sum(found.values()) == pytest.approx(whole)
    ann = client.get(f"/user/spend/report?user_id=ann&{RANGE}")
    assert {row["api_key"] for row in ann} == {"k1", "k2"}
    assert ann == client.get(f"/global/spend/report?internal_user_id=ann&{RANGE}")
    assert client.get(f"/team/spend/report?team_id=edge&{RANGE}")[0]["api_key"] == "k2"
    assert client.get(f"/organization/spend/report?organization_id=nobody&{RANGE}") == []


@pytest.mark.usefixtures("database")
def test_the_dearest_keys_of_thirty_days(client: Client) -> None:
    now = datetime.now(UTC)
    with transaction() as session:
        known = attributions.resolve(session, dict.fromkeys(MIXES, 1))
        for days, mix, cost in ((1, 1, 2), (2, 2, 3), (3, 0, 1), (40, 1, 100)):
            ledger.add(
                session, started_at=now - timedelta(days=days), cost_usd=Decimal(cost),
                attribution_id=known[MIXES[mix]],
            )  # fmt: skip
    ledger.roll()
    rows = client.get("/global/spend/keys?limit=2")
    assert [(row["api_key"], row["total_spend"]) for row in rows] == [("k2", 3.0), ("k1", 2.0)]
    assert client.get("/global/spend/keys")[2]["api_key"] == "Unassigned"


@pytest.mark.usefixtures("traffic")
def test_a_bound_token_is_answered_from_its_own_alone(client: Client) -> None:
    with transaction() as session:
        _, secret = tokens.create(session, "bound", ["read"], Binding(team="core"))
    named = {"Authorization": f"Bearer {secret}"}
    answer = client.call("GET", f"/user/daily/activity?{RANGE}", headers=named).json()
    assert answer["metadata"]["total_api_requests"] == 40
    rows = client.call("GET", f"/global/spend/report?group_by=api_key&{RANGE}", headers=named)
    assert {row["api_key"] for row in rows.json()} == {"k1", "k2"}


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("/user/daily/activity", "start_date is missing"),
        ("/user/daily/activity?start_date=2026-1-1&end_date=2026-01-02", "start_date is a date"),
        ("/user/daily/activity?start_date=20260101&end_date=2026-01-02", "start_date is a date"),
        ("/user/daily/activity?start_date=2026-01-02&end_date=2026-01-01", "or later"),
        (f"/user/daily/activity?{RANGE}&page=0", "1 to 1000"),
        (f"/user/daily/activity?{RANGE}&zone=Mars", "not a time zone"),
        (f"/team/daily/activity?{RANGE}&team_ids=,", "team_ids has no name in it"),
        (f"/user/daily/activity?{RANGE}&model=a%00", "U+0000"),
        (f"/team/daily/activity?{RANGE}&exclude_team_ids=a", "no parameter 'exclude_team_ids'"),
        ("/user/daily/activity/aggregated?start_date=2020-01-01&end_date=2026-01-01", "2193 days"),
        ("/user/daily/activity?start_date=9999-12-01&end_date=9999-12-31", "a calendar has"),
        (f"/global/spend/report?{RANGE}&group_by=customer", "group_by is one of team, api_key"),
        (f"/tag/daily/activity?{RANGE}&tags={','.join(map(str, range(101)))}", "101 values"),
    ],
)
def test_what_cannot_be_answered_is_400_and_says_why(
    client: Client, query: str, words: str
) -> None:
    status, said = client.bad("GET", query)
    assert (status, words in said) == (400, True), said


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize(
    "days", ["0001-01-01&end_date=0001-01-01", "0001-01-01&end_date=0001-01-05"]
)
def test_the_first_days_of_the_calendar_are_days_without_spend(client: Client, days: str) -> None:
    assert client.get(f"/user/daily/activity?start_date={days}")["results"] == []
