"""A token that is bound to an organization, team or key sees that over HTTP and nothing else."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from spend import attributions, tokens
from spend.attribution.mix import Mix
from spend.tenancy import Binding
from tests.support import ledger
from tests.support.service import Service
from worker.database import transaction

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
