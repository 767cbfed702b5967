"""Rules are kept, found in conflict, ended and applied when a request is booked."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from spend.attribution import rules
from spend.attribution.mix import Mix
from spend.capture import desk
from spend.capture.pipeline import import_requests
from spend.errors import BadInputError
from tests.support.captured import ledger, spendbeat
from worker.database import engine, transaction

pytestmark = pytest.mark.usefixtures("database")

SHOP = ("api_key=prod-frontend", "project=shop")


def said(*arguments: str) -> str:
    result = spendbeat("attribution", "rules", *arguments)
    if result.exception:
        raise result.exception
    return result.stdout


def listed() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(said("list", "--json"))
    return found


def test_a_rule_is_added_listed_tried_and_ended() -> None:
    assert "There are none" in said("list")
    made = said("add", *SHOP, "--from", "2026-10-01", "--to", "2026-12-01")
    assert made.startswith("Rule 1: api_key 'prod-frontend' is project 'shop' from 2026-10-01")
    (rule,) = listed()
    assert rule["valid_to"] == "2026-12-01T00:00:00+00:00"
    assert "project=shop" in said("list")
    tried = json.loads(said("test", "--api-key", "prod-frontend", "--at", "2026-11-30", "--json"))
    assert tried == [{"field": "project", "value": "shop", "rule": 1}]
    assert "No rule" in said("test", "--api-key", "prod-frontend", "--at", "2026-12-01")
    assert "No rule" in said("test", "--api-key", "prod-frontend", "--project", "x", "--at",
                             "2026-11-30")  # fmt: skip
    said("end", "1", "--at", "2026-11-01")
    assert "No rule" in said("test", "--api-key", "prod-frontend", "--at", "2026-11-30")
    assert "shop" in said("test", "--api-key", "prod-frontend", "--at", "2026-10-30")


def test_a_rule_that_contradicts_another_is_refused_with_its_name() -> None:
    said("add", *SHOP, "--from", "2026-10-01", "--to", "2026-12-01")
    with pytest.raises(BadInputError, match=r"Rule 1 .* rules end 1"):
        said("add", "api_key=prod-frontend", "project=lab", "--from", "2026-11-30")
    said("add", "api_key=prod-frontend", "project=lab", "--from", "2026-12-01")
    said("end", "1", "--at", "2026-09-01")  # before it begins: it holds for none
    said("add", "api_key=prod-frontend", "project=lab", "--to", "2026-12-01")
    with pytest.raises(BadInputError, match="ends at"):
        said("end", "1", "--at", "2027-01-01")
    with pytest.raises(BadInputError, match="no rule 9"):
        said("end", "9")


def test_rules_that_may_meet_are_named_with_the_one_that_goes_first() -> None:
    said("add", *SHOP)
    assert "rule 1 goes first" in said("add", "api_key=prod-*", "project=infra")
    assert "goes first" not in said("add", "api_key=test-*", "project=sandbox")
    made = json.loads(said("add", "team=core", "project=core", "--json"))
    assert [rival["id"] for rival in made["rivals"]] == [1, 2, 3]


@pytest.mark.parametrize(
    ("match", "fill", "problem"),
    [
        ("colour=red", "project=x", "cannot match 'colour'"),
        ("team=x", "tag=x", "cannot fill 'tag'"),
        ("team=x", "team=y", "only what is missing"),
        ("team=a*b", "project=y", "before its end"),
        ("team= a", "project=y", "spaces"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(match: str, fill: str, problem: str) -> None:
    with pytest.raises(BadInputError, match=problem.replace("*", r"\*")):
        said("add", match, fill)
    assert listed() == []


def test_the_version_changes_with_every_change() -> None:
    seen = set()
    for step in (
        (),
        ("add", *SHOP),
        ("add", "team=a", "agent=b"),
        ("end", "1", "--at", "2027-01-01"),
        ("end", "1", "--at", "2026-12-01"),
    ):
        if step:
            said(*step)
        with transaction("spendbeat_reader") as session:
            seen.add(rules.version(session))
    assert len(seen) == 5


def test_what_is_loaded_is_what_was_added() -> None:
    said("add", *SHOP, "--from", "2026-10-01")
    with transaction("spendbeat_reader") as session:
        ready = rules.load(session)
    mix = Mix(api_key="prod-frontend")
    begin = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp()) * 1_000_000
    assert ready.apply(mix, "p", "m", begin).project == "shop"
    assert ready.apply(mix, "p", "m", begin - 1).project is None


def request(n: int, at: str = "2026-11-01T10:00:00Z", **more: object) -> dict[str, object]:
    return {"started_at": at, "provider": "openai", "model": "gpt-4o", "input_tokens": n,
            "api_key": "prod-frontend", **more}  # fmt: skip


def projects() -> list[str | None]:
    columns = (
        "(SELECT project FROM attributions AS a WHERE a.id = attribution_id) AS project, started_at"
    )
    return [row.project for row in ledger(columns)]


def test_an_import_fills_what_is_missing_by_the_time_of_each_request() -> None:
    said("add", *SHOP, "--from", "2026-10-01", "--to", "2026-12-01")
    rows = [
        request(1),
        request(2, "2026-09-30T23:59:59.999999Z"),
        request(3, "2026-12-01T00:00:00Z"),
        request(4, project="lab"),
    ]
    assert import_requests(engine(), rows).imported == 4
    assert projects() == ["shop", None, None, "lab"]


def test_a_file_without_ids_is_known_again_after_a_rule_was_added() -> None:
    """A request's key is made of what it says itself; what is booked stays as it is."""
    rows = [request(1), request(1), request(2)]
    import_requests(engine(), rows)
    said("add", *SHOP)
    again = import_requests(engine(), [*rows, request(3)])
    assert (again.imported, again.known) == (1, 3)
    assert projects() == [None, None, None, "shop"]


def test_a_desk_follows_rules_and_limits_that_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_RELOAD_SECONDS", 0.0)
    counter = desk.Desk(engine())

    def book(id_: str) -> None:
        counter.book([{**request(1), "id": id_}], route="ingest")

    book("a")
    said("add", *SHOP)
    book("b")
    said("end", "1", "--at", "2026-01-01")
    book("c")
    spendbeat("attribution", "limits", "set", "project", "1")
    said("add", "api_key=prod-*", "project=lab")
    book("d")
    spendbeat("attribution", "limits", "set", "project", "2")
    book("e")
    assert projects() == [None, "shop", None, "(other)", "lab"]
