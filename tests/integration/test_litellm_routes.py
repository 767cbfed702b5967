"""What LiteLLM says of one call to its callback and to its table is one request, in any order.

Payloads and rows are made by LiteLLM itself.
"""

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from spend.capture import litellm as payloads
from spend.capture.desk import Desk
from tests.support.captured import counted, ledger
from tests.support.litellm import calls
from tests.support.litellm_syncs import conflicts, net, synced
from tests.support.litellm_tables import LitellmTables

Pairs = list[dict[str, Any]]
CALLS = 6


@pytest.fixture(scope="session")
def pairs() -> Pairs:
    """Calls of LiteLLM, each as {"payload", "row"}."""
    made: Any = calls("spend_rows.py", {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}, str(CALLS))
    assert len(made) == CALLS
    return list(made)


def by_callback(desk: Desk, pairs: Pairs) -> None:
    desk.book([payloads.request(pair["payload"]) for pair in pairs], route="test")


def by_table(litellm: LitellmTables, desk: Desk, pairs: Pairs) -> None:
    for pair in pairs:
        litellm.copy(pair["row"])
    synced(litellm, desk)


def callback_first(litellm: LitellmTables, desk: Desk, pairs: Pairs) -> None:
    by_callback(desk, pairs)
    by_table(litellm, desk, pairs)


def table_first(litellm: LitellmTables, desk: Desk, pairs: Pairs) -> None:
    by_table(litellm, desk, pairs)
    by_callback(desk, pairs)


def half_and_half(litellm: LitellmTables, desk: Desk, pairs: Pairs) -> None:
    by_callback(desk, pairs[::2])
    by_table(litellm, desk, pairs)
    by_callback(desk, random.Random(7).sample(pairs, len(pairs)))


@pytest.mark.parametrize("routes", [callback_first, table_first, half_and_half])
def test_the_same_calls_by_both_routes_are_one_request_each(
    routes: Callable[[LitellmTables, Desk, Pairs], None],
    version: str,
    litellm: LitellmTables,
    desk: Desk,
    pairs: Pairs,
) -> None:
    routes(litellm, desk, pairs)
    said = (Decimal(str(pair["payload"]["response_cost"])) for pair in pairs)
    expected = sum((cost.quantize(Decimal("1e-12")) for cost in said), Decimal(0))
    rows = ledger("status, model, cost_usd, input_tokens, cache_read_tokens, reasoning_tokens")
    assert (len(rows), counted()[2]) == (CALLS, expected)
    assert sorted(row.model for row in rows) == sorted(
        ["gpt-4o"] * 4 + ["orchid-9", "text-embedding-3-small"]
    )
    assert [row.cost_usd for row in rows if row.model == "orchid-9"] == [None]
    assert max((row.cache_read_tokens, row.reasoning_tokens) for row in rows) == (1500, 120)
    assert all(changes == 0 for _, _, changes in net())
    assert conflicts() == 0
