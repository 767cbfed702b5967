"""What instrumentation libraries really send becomes the request that was made."""

import pytest

from spend.capture.normalise import Normaliser
from spend.capture.otlp import requests
from tests.support.captured_spans import AGENT, CAPTURED, Captured
from tests.support.spans import Made, export

PROTOBUF = "application/x-protobuf"


def named(captured: Captured) -> str:
    return f"{captured.library}: {captured.call}"


@pytest.mark.parametrize("captured", CAPTURED, ids=named)
def test_a_captured_span_is_the_request_that_was_made(captured: Captured) -> None:
    made = Made(captured.attributes, scope=captured.scope, failed=captured.failed)
    [found] = requests(export(made).SerializeToString(), PROTOBUF)
    assert isinstance(found, dict)
    assert {name: found.get(name) for name in captured.fields} == captured.fields
    Normaliser().mapping(found)  # takes it


def test_no_library_is_believed_a_cost_that_it_guessed() -> None:
    spans = [Made(c.attributes, number=n, scope=c.scope) for n, c in enumerate(CAPTURED, 1)]
    costs = {"cost_usd", "gateway_cost_usd", "provider_cost_usd"}
    for made in spans:
        [found] = requests(export(made).SerializeToString(), PROTOBUF)
        assert isinstance(found, dict)
        assert not found.keys() & costs


def test_a_call_that_four_libraries_watch_is_one_request() -> None:
    """Anthropic's SDK beside OpenLLMetry in traces of their own, inside OpenInference without the
    response's id: the one that knows the most kinds of tokens tells the usage.
    """
    by = {(c.library, c.call): c for c in CAPTURED}
    sdk, other, outer = (
        by[library, "messages"] for library in ("Anthropic's SDK", "OpenLLMetry", "OpenInference")
    )
    spans = [
        Made(sdk.attributes, number=2, parent=1),
        Made(other.attributes, number=3, trace="a" * 32),
        Made(outer.attributes, number=1),
    ]
    [found] = requests(export(*spans).SerializeToString(), PROTOBUF)
    assert isinstance(found, dict)
    assert found["id"] == sdk.attributes["gen_ai.response.id"]
    assert found["cache_write_1h_tokens"] == 500
    assert len(found["other_ids"]) == 3  # type: ignore[arg-type] # a list of ids


def test_an_agent_around_a_call_is_no_request() -> None:
    [chat] = [c for c in CAPTURED if c.library == "Pydantic AI"]
    spans = [Made(chat.attributes, number=2, parent=1), Made(AGENT, number=1)]
    assert len(requests(export(*spans).SerializeToString(), PROTOBUF)) == 1
