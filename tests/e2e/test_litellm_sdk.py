"""LiteLLM's SDK with our callback, the HTTP service and a ledger: LiteLLM's own figures arrive."""

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from spend.pricing import dollars, to_pico
from tests.support.captured import ledger
from tests.support.litellm import calls, environment
from tests.support.service import serving, token

UNKNOWN = "nope-9"
CALLS, ATTEMPTS = 200, 216


def said(attempt: dict[str, Any]) -> tuple[object, ...]:
    """An attempt as LiteLLM has it, in the ledger's terms."""
    provider = attempt["custom_llm_provider"]
    model = attempt["model"].removeprefix(f"{provider}/")
    cost = None if model == UNKNOWN else dollars(to_pico(Decimal(str(attempt["response_cost"]))))
    return (
        round(attempt["startTime"] * 1_000_000),
        provider,
        model,
        attempt["status"],
        attempt["prompt_tokens"],
        attempt["completion_tokens"],
        cost,
    )


@pytest.fixture
def told(database: str, tmp_path: Path) -> dict[str, Any]:
    """What LiteLLM says of the 200 calls, after all of them were shipped."""
    secret = token("sdk")
    with serving(secret) as service:
        variables = environment(service.url, secret, tmp_path / "spool")
        return calls("sdk_calls.py", variables)


def test_each_attempt_is_booked_once_at_the_cost_that_litellm_says(told: dict[str, Any]) -> None:
    """Sync, async, streamed, failing, retried, cached, with fallback, unknown, embeddings."""
    attempts = told["attempts"]
    assert told["arrived"]
    assert len(attempts) == ATTEMPTS
    rows = ledger(
        "(extract(epoch FROM started_at) * 1000000)::bigint, provider, model, status,"
        " input_tokens, output_tokens, cost_usd"
    )
    assert Counter(map(tuple, rows)) == Counter(map(said, attempts))
    kinds = Counter((a["status"], a["cache_hit"] is True) for a in attempts)
    assert kinds == {("success", False): 154, ("failure", False): 56, ("success", True): 6}

    known = ledger("model, cost_usd")
    assert Counter(row.model for row in known if row.cost_usd is None) == {UNKNOWN: 14}

    # A stream that nobody reads to its end leaves no trace but this.
    assert told["open"] == 1
