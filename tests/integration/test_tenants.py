"""A token that is bound to an organization, team or key sees that over HTTP and nothing else."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DBAPIError

from spend import attributions, tokens
from spend.attribution.mix import Mix
from spend.errors import BadInputError
from spend.tenancy import Binding
from tests.support import ledger
from tests.support.service import Service, event
from tests.support.waiting import wait_for
from web import activity
from web.app import create
from web.tokens import COOKIE, REMEMBERED_SECONDS
from worker.database import transaction
from worker.settings import load

MIXES = (
    Mix(),
    Mix(organization="acme", team="web", api_key="k1"),
    Mix(organization="acme", team="ops"),
    Mix(organization="Acme", team="web"),
    Mix(organization="b'o\"rg\\; -- \u2603", project="shop"),
)
COSTS = [Decimal(3) ** n / 1000 for n in range(len(MIXES))]


@pytest.fixture
def traffic(database: str) -> None:
    """One request per mix, each with a cost that tells it from any sum of others."""
    with transaction() as session:
        ids = attributions.resolve(session, dict.fromkeys(MIXES, 1))
        ledger.add(
            session,
            [
                {"provider": "openai", "model": "m", "attribution_id": ids[mix], "cost_usd": cost}
                for mix, cost in zip(MIXES, COSTS, strict=True)
            ],
        )
    ledger.roll()


def bearer(**binding: str) -> Mapping[str, str]:
    with transaction() as session:
        bound = Binding(**binding) if binding else None
        _, secret = tokens.create(session, f"t{id(binding)}", ["read"], bound)
    return {"Authorization": f"Bearer {secret}"}


def ask(service: Service, path: str, headers: Mapping[str, str]) -> Any:
    answer = service.client.get(path, headers=headers)
    assert answer.is_success, answer.text
    return answer.json()


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize(
    ("binding", "seen"),
    [
        ({}, (0, 1, 2, 3, 4)),
        ({"organization": "acme"}, (1, 2)),
        ({"organization": "acme", "team": "web"}, (1,)),
        ({"team": "web"}, (1, 3)),
        ({"api_key": "k1"}, (1,)),
        ({"organization": "Acme", "api_key": "k1"}, ()),
        ({"organization": "b'o\"rg\\; -- \u2603"}, (4,)),
        ({"organization": "acm_"}, ()),
    ],
)
def test_each_sees_its_own_sums_on_every_door_open_to_it(
    service: Service, binding: dict[str, str], seen: tuple[int, ...]
) -> None:
    """Names count exactly as they are written, whatever is in them."""
    own, headers = sum(COSTS[n] for n in seen), bearer(**binding)
    aggregated = ask(service, "/aggregate", headers)
    assert sum(Decimal(line["total_cost"]) for line in aggregated["data"]) == own
    assert aggregated["counted_to"]
    spent = ask(service, "/spend?by=organization,team", headers)
    assert Decimal(spent["total"]["total_cost"]) == own
    assert spent["counted_to"]
    shown = {(line["organization"], line["team"]) for line in spent["data"]}
    assert shown == {(MIXES[n].organization, MIXES[n].team) for n in seen}


# What a bound token may ask. Whoever opens a route to it adds it here, with a test that it sees
# its own there and nothing else.
OPEN = {
    "/aggregate", "/spend", "/requests", "/requests/{id}", "/events",
    *(f"/{kind}/daily/activity" for kind in ("user", "team", "organization", "tag")),
    *(f"/{kind}/daily/activity/aggregated" for kind in ("user", "team", "organization", "tag")),
    *(f"/{kind}/spend/report" for kind in ("global", "key", "user", "team", "organization")),
    "/global/spend/keys",
    "/dashboard", "/dashboard/spend", "/dashboard/requests", "/dashboard/requests/{id}",
    *(door.path for door in activity.DOORS),
}  # fmt: skip
# What asks for no token at all.
FOR_ANYBODY = {"/", "/ready", "/openapi.json"}
_NO_FIGURES = re.compile(r"/dashboard/(login|logout|theme|static.*|files.*)")


def routes() -> set[tuple[str, str]]:
    """Every method and path of the application that needs a token."""
    found = {
        (method, route.path or "")
        for route in iter_route_contexts(list(create(load()).routes))
        for method in (route.methods or {"GET"}) - {"HEAD"}
    }
    assert ("POST", "/ingest") in found
    return {
        (method, path)
        for method, path in found
        if path not in FOR_ANYBODY and not _NO_FIGURES.fullmatch(path)
    }


def test_every_route_that_is_not_open_to_a_bound_token_refuses_it(service: Service) -> None:
    """A new one is closed until it is opened on purpose."""
    headers = {**bearer(organization="acme"), "content-type": "application/json"}
    for method, path in sorted(routes()):
        if path in OPEN and method == "GET":
            continue
        # One of the few changes that a page has.
        where = path.replace("{change}", "ack")
        where = re.sub(r"{\w+(:\w+)?}", "1", where)
        answer = service.client.request(method, where, headers=headers, content=b"{}")
        assert answer.status_code == 403, f"{method} {path}: {answer.status_code} {answer.text}"


@pytest.mark.usefixtures("traffic")
def test_what_is_open_answers_a_bound_token(service: Service) -> None:
    """None of it needs more than the tenants' role may read; it may ask for parameters."""
    headers = bearer(organization="acme")
    for path in sorted(OPEN - {"/events"}):
        answer = service.client.get(path.replace("{id}", "1"), headers=headers)
        assert answer.status_code in (200, 400, 404), f"{path}: {answer.status_code} {answer.text}"


def test_a_refusal_says_why(service: Service) -> None:
    answer = service.client.get("/budgets", headers=bearer(team="web"))
    assert "bound to an organization, team or key" in answer.json()["error"]


@pytest.mark.usefixtures("traffic")
def test_a_revoked_bound_token_sees_nothing_within_seconds(service: Service) -> None:
    headers = bearer(organization="acme")
    assert ask(service, "/aggregate", headers)["data"]
    with transaction() as session:
        [token] = [token for token in tokens.listed(session) if token.binding]
        tokens.revoke(session, token.name)
    wait_for(
        lambda: service.client.get("/aggregate", headers=headers).status_code == 401,
        "the token to be refused",
        REMEMBERED_SECONDS + 3,
    )


def test_a_bound_token_is_nothing_but_a_look(database: str) -> None:
    """Refused by the command's words, and by the database whoever writes there."""
    for scopes in (["ingest"], ["read", "budgets"], ["metrics"]):
        with transaction() as session, pytest.raises(BadInputError, match="scope read only"):
            tokens.create(session, "t", scopes, Binding(organization="acme"))
        with pytest.raises(DBAPIError, match="ck_api_tokens_bound_scopes"):
            ledger.run_as(
                "spendbeat_writer",
                "INSERT INTO api_tokens (name, digest, scopes, team)"
                f" VALUES ('t', sha256('x'), ARRAY{scopes}, 'web')",
            )


@pytest.mark.parametrize("value", ["", " acme", "acme ", "x" * 513, "a\0b"])
def test_what_no_request_can_be_attributed_to_binds_nothing(value: str) -> None:
    with pytest.raises(BadInputError, match="team"):
        Binding(organization="acme", team=value)


@pytest.mark.usefixtures("traffic")
def test_a_browsers_cookie_looks_and_changes_only_from_our_own_pages(service: Service) -> None:
    with transaction() as session:
        _, secret = tokens.create(session, "browser", ["read", "ingest"])
    service.client.headers.pop("authorization")
    cookie = {"cookie": f"{COOKIE}={secret}"}
    host = service.url.removeprefix("http://")

    def status(method: str, path: str, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = service.client.request(
            method, path, headers={**cookie, **named}, json=event(1) if method == "POST" else None
        )
        return answer.status_code

    assert status("GET", "/aggregate") == 200
    assert status("GET", "/aggregate", authorization="Basic dTpw") == 200
    assert status("GET", "/aggregate", authorization=f"Bearer sb_{'x' * 43}") == 401
    for headers in (
        {},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site", "origin": f"http://{host}"},
        {"sec_fetch_site": "none"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"http://{host}.evil.example"},
    ):
        assert status("POST", "/ingest", **headers) == 403, headers
    assert status("POST", "/ingest", sec_fetch_site="same-origin") == 200
    assert status("POST", "/ingest", origin=f"http://{host}") == 200
