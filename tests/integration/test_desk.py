"""Events that are booked as they come: once each, whatever the route, the order and the rivals."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from spend.attribution import rules
from spend.attribution.matching import Rule
from spend.capture.desk import Desk, Refused
from tests.support.captured import counted, imported, ledger
from tests.support.desks import book, event, price
from tests.support.ledger import roll, scalar, verify
from worker.database import engine, transaction


def rule(api_key: str, project: str) -> None:
    """Requests of a key that name no project are the project's."""
    with transaction() as session:
        rules.add(session, Rule(0, "api_key", api_key, "project", project))


def keys_of_row(row_id: int) -> int:
    return int(scalar("SELECT count(*) FROM request_keys WHERE row_id = :id", id=row_id))


def costs() -> list[Any]:
    columns = "cost_usd, computed_cost_usd, gateway_cost_usd, provider_cost_usd"
    return [tuple(row) for row in ledger(columns)]


def source() -> str:
    return str(
        scalar(
            "SELECT source FROM cost_logs AS l JOIN price_versions AS v ON v.id = price_version_id"
        )
    )


def test_an_event_is_booked_once_however_often_it_comes(database: str) -> None:
    assert book(event()).imported == 1
    assert book(event(), event()).known == 2
    assert counted() == (1, 1, Decimal("0.0035"))


@pytest.mark.parametrize("first", ["one", "other", "both"])
@pytest.mark.parametrize("second", ["one", "other", "both"])
def test_requests_that_share_any_id_are_one(database: str, first: str, second: str) -> None:
    """A route that knows both ids leads those that know one of them to the same request."""
    names = {"one": ("call", ()), "other": ("response", ()), "both": ("call", ["response"])}
    for name in ("both", first, second):
        id_, others = names[name]
        book(event(id=id_, other_ids=others))
    (row,) = ledger("id")
    assert keys_of_row(row.id) == 2


def test_a_later_route_adds_the_ids_that_it_knows(database: str) -> None:
    book(event(id="a"))
    book(event(id="b", other_ids=["a"]))
    book(event(id="c", other_ids=["b"]))
    assert counted() == (1, 3, Decimal("0.0035"))


def test_requests_of_one_call_that_share_an_id_are_one(database: str) -> None:
    found = book(event(id="a"), event(id="b", other_ids=["a"]), event(id="c", other_ids=["b"]))
    assert (found.imported, found.known) == (1, 2)
    assert counted() == (1, 3, Decimal("0.0035"))


def test_ids_of_two_requests_in_one_are_a_conflict(database: str) -> None:
    book(event(id="a"), event(id="b"))
    (stored,) = book(event(id="a", other_ids=["b"])).conflicts
    (staged,) = book(event(id="x"), event(id="y"), event(id="x", other_ids=["y"])).conflicts
    assert stored.reason == staged.reason == "its ids are known for two requests"
    assert (stored.index, staged.index) == (0, 2)
    assert counted()[0] == 4


def test_rivals_that_know_different_ids_book_each_request_once(database: str) -> None:
    """Eight sessions at once, each with another choice of the same requests' ids."""
    desk = Desk(engine())

    def rival(number: int) -> None:
        for start in range(0, 60, 20):
            rows = []
            for n in range(start, start + 20):
                ids = [f"{n}-a", f"{n}-b", f"{n}-c"]
                chosen = [ids[(number + n) % 3], *ids]
                rows.append(event(id=chosen[0], other_ids=chosen[1:]))
            desk.book(rows if number % 2 else rows[::-1], route="test")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(rival, range(8)))
    assert counted() == (60, 180, Decimal("0.0035") * 60)


def test_all_or_nothing(database: str) -> None:
    with pytest.raises(Refused) as refused:
        book(event(id="good"), event(id="bad", input_tokens=-1), event(id="worse", modle="x"))
    assert [(p.index, p.id) for p in refused.value.problems] == [(1, "bad"), (2, "worse")]
    assert "event 1: a token count is negative: -1" in str(refused.value)
    assert counted()[0] == 0


def test_the_good_ones_go_in_where_that_is_asked_for(database: str) -> None:
    found = book(event(id="good"), event(id="bad", input_tokens=-1), strict=False)
    assert (found.imported, [p.index for p in found.rejected]) == (1, [1])


def test_a_known_id_with_other_content_is_reported_once_and_booked_never(database: str) -> None:
    book(event())
    for _ in range(2):
        (conflict,) = book(event(output_tokens=7)).conflicts
        assert (conflict.id, conflict.reason) == ("call-1", "this id is known with other content")
    assert counted() == (1, 1, Decimal("0.0035"))
    with transaction("spendbeat_reader") as session:
        (row,) = session.execute(text("SELECT route, request_id, said FROM request_conflicts"))
    assert (row.route, row.request_id, row.said["output_tokens"]) == ("test", "call-1", 7)


def test_what_rounds_between_routes_is_no_conflict(database: str) -> None:
    book(event(gateway_cost_usd=0.1 + 0.2))
    found = book(event(started_at="2026-11-20T10:00:01.4Z", gateway_cost_usd="0.3"), event())
    assert (found.known, found.conflicts) == (2, ())


def test_the_booked_cost_and_those_beside_it(database: str) -> None:
    """The provider's own word goes before the gateway's, and that before our price list."""
    book(event(id="1"))
    book(event(id="2", gateway_cost_usd="0.004"))
    book(event(id="3", gateway_cost_usd="0.004", provider_cost_usd=0.005))
    book(event(id="4", gateway_cost_usd="0.004", provider_cost_usd=0.005, cost_usd=0))
    ours, gateway, provider = Decimal("0.0035"), Decimal("0.004"), Decimal("0.005")
    assert costs() == [
        (ours, None, None, None),
        (gateway, ours, None, None),
        (provider, ours, gateway, None),
        (0, None, gateway, provider),
    ]


def test_a_price_of_ones_own_goes_before_what_others_computed(database: str) -> None:
    price("gpt-4o", 1)
    book(event(gateway_cost_usd="0.004", provider_cost_usd="0.005"))
    assert costs() == [(Decimal("0.0011"), None, Decimal("0.004"), Decimal("0.005"))]
    assert source() == "override"


def test_an_unknown_model_is_unpriced_unless_somebody_knows_what_it_cost(database: str) -> None:
    found = book(event(id="1", model="nope-9"), event(id="2", model="nope-9", gateway_cost_usd=2))
    assert found.unpriced == 1
    assert [row[0] for row in costs()] == [None, Decimal(2)]


def test_a_success_that_says_nothing_of_its_usage_is_unpriced_not_free(database: str) -> None:
    silent = {"input_tokens": None, "output_tokens": None}
    found = book(
        event(id="1", **silent),
        event(id="2", **silent, status="failure"),
        event(id="3", **silent, provider="ollama", model="llama3"),
    )
    assert found.unpriced == 1
    assert [row[0] for row in costs()] == [None, 0, 0]


@pytest.mark.parametrize("together", [True, False])
def test_what_a_request_used_may_be_said_later(database: str, *, together: bool) -> None:
    """By a route that knows it, whichever came first; told again, it is known."""
    silent = event(id="span", other_ids=["call-1"], input_tokens=None, output_tokens=None)
    told = event(gateway_cost_usd="0.0036")
    if together:
        found = book(silent, told, told)
        assert (found.imported, found.known, found.conflicts) == (1, 2, ())
    else:
        assert book(silent).unpriced == 1
        assert book(told).known == book(told).known == 1
    roll()
    with transaction("spendbeat_reader") as session:
        (row,) = session.execute(text("SELECT * FROM token_usage"))
        (total,) = session.execute(text("SELECT requests, unpriced, total_cost FROM spend_summary"))
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (1000, 100, Decimal("0.0036"))
    assert tuple(total) == (1, 0, Decimal("0.0036"))
    assert verify().difference == 0
    (conflict,) = book(event(output_tokens=7)).conflicts
    assert conflict.reason == "this id is known with other content"


def test_a_price_that_comes_later_is_used_within_a_second(database: str) -> None:
    from tests.support.waiting import wait_for

    desk = Desk(engine())
    desk.book([event(id="0", model="nope-9")], route="test")
    price("nope-9", 1)
    tries = iter(range(1, 10_000))

    def priced() -> bool:
        return desk.book([event(id=f"{next(tries)}", model="nope-9")], route="test").unpriced == 0

    wait_for(priced, "the new price", 10)


def test_rules_say_who_a_request_is_for_and_its_key_stays(database: str) -> None:
    """A rule that comes later changes nothing that is booked, nor who is known."""
    book(event(id=None, api_key="prod"))
    rule("prod", "shop")
    assert book(event(id=None, api_key="prod")).known == 1
    book(event(id="2", api_key="prod"), event(id="3", api_key="prod", project="own"))
    book(event(id="4", api_key="test"))
    with transaction("spendbeat_reader") as session:
        found = session.scalars(text("SELECT project FROM token_usage ORDER BY id"))
    assert list(found) == [None, "shop", "own", None]


def test_tags_that_name_a_field_are_that_field_on_every_route(database: str) -> None:
    tags = ["project:shop", "user:ann", "env:prod"]
    book(event(id="1", tags=tags), event(id="2", tags=",".join(tags), user="bob"))
    with transaction("spendbeat_reader") as session:
        found = session.execute(text("SELECT project, user_id, tags FROM token_usage ORDER BY id"))
    assert [tuple(row) for row in found] == [
        ("shop", "ann", ["env:prod"]),
        ("shop", "bob", ["env:prod", "user:ann"]),
    ]


def test_a_cost_that_disagrees_is_noted_once_per_request(database: str) -> None:
    """Ours is $0.0035; a hundredth more is tolerated."""
    dear = event(id="1", gateway_cost_usd="0.004")
    book(dear, event(id="2", gateway_cost_usd="0.00352"), event(id="3"))
    book(dear, event(id="4", gateway_cost_usd="0.005"))
    with transaction("spendbeat_reader") as session:
        found = session.execute(
            text(
                "SELECT booked_source, other_source, requests FROM price_disagreements ORDER BY id"
            )
        ).all()
    assert found == [("gateway", "computed", 1), ("gateway", "computed", 1)]


def test_an_import_follows_rules_and_tiers_too(database: str, tmp_path: Path) -> None:
    rule("prod", "shop")
    path = tmp_path / "x.csv"
    path.write_text(
        "id,started_at,provider,model,input_tokens,output_tokens,api_key,gateway_cost_usd\n"
        "1,2026-11-20T10:00:00Z,openai,gpt-4o,1000,100,prod,0.004\n"
        "2,2026-11-20T10:00:00Z,openai,gpt-4o,1000,100,test,\n"
    )
    assert imported(path)["imported"] == 2
    with transaction("spendbeat_reader") as session:
        found = session.execute(text("SELECT project, cost_usd FROM token_usage ORDER BY id"))
    assert [tuple(row) for row in found] == [
        ("shop", Decimal("0.004")),
        (None, Decimal("0.0035")),
    ]
