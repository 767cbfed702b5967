"""Which spans are LLM requests, and what is read from them."""

import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from spend.capture.otlp import MalformedError, requests
from spend.capture.otlp.names import KNOWN
from spend.capture.request import Rejected
from tests.support.captured_spans import CAPTURED
from tests.support.spans import CHAT, START, TRACE, Made, as_json, chat, export

PROTOBUF, JSON = "application/x-protobuf", "application/json"
OWN_ID = f"otel:{TRACE}:{1:016x}"


def found(*spans: Made, **resource: Any) -> list[dict[str, object] | Rejected]:
    named = {name.replace("__", "."): value for name, value in resource.items()}
    return requests(export(*spans, resource=named).SerializeToString(), PROTOBUF)


def only(*spans: Made, **resource: Any) -> dict[str, Any]:
    [request] = found(*spans, **resource)
    assert isinstance(request, dict), request
    return request


def refused(*spans: Made) -> str:
    [verdict] = found(*spans)
    assert isinstance(verdict, Rejected)
    return str(verdict)


def test_a_chat_is_a_request_known_by_the_id_of_its_response() -> None:
    assert only(chat()) == {
        "id": CHAT["gen_ai.response.id"],
        "other_ids": [OWN_ID],
        "started_at": START // 1000,
        "provider": "openai",
        "model": "gpt-4o",
        "input_tokens": 1000,
        "output_tokens": 100,
        "status": "success",
        "trace_id": TRACE,
    }


# Encodings


def everything() -> list[Made]:
    """All captured spans, and one with a value of each type and names that nobody knows."""
    odd = chat(
        90,
        spendbeat__tags=["a", "b:c"],
        gen_ai__request__stream=True,
        gen_ai__usage__cost=0.0125,
        spendbeat__project="Zürich",
    )
    return [
        odd,
        Made({"http.request.method": "GET"}, 91, parent=90, name="GET"),
        *(
            Made(c.attributes, n, scope=c.scope, failed=c.failed, trace=f"{n:032x}")
            for n, c in enumerate(CAPTURED, 1)
        ),
    ]


def test_json_and_protobuf_say_the_same() -> None:
    request = export(*everything(), resource={"service.name": "shop"})
    binary = requests(request.SerializeToString(), PROTOBUF)
    written = requests(orjson.dumps(as_json(request)), f"{JSON}; charset=utf-8")
    assert [str(r) if isinstance(r, Rejected) else r for r in written] == [
        str(r) if isinstance(r, Rejected) else r for r in binary
    ]
    assert sum(isinstance(r, dict) for r in binary) == 11


def json_span(**changed: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE.upper(),
        "spanId": "EEE19B7EC3C1B174",
        "name": "chat",
        "startTimeUnixNano": str(START),
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.provider.name", "value": {"stringValue": "openai"}},
            {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o"}},
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "12"}},
            {"key": "gen_ai.usage.output_tokens", "value": {"intValue": 3}},
        ],
        **changed,
    }


def from_json(span: object) -> list[dict[str, object] | Rejected]:
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    return requests(json.dumps(body).encode(), JSON)


def test_json_by_the_rules_of_otlp() -> None:
    """Hexadecimal ids in either case, whole numbers as texts or numbers, unknown fields ignored."""
    [request] = from_json(json_span(kind=3, status={"code": 2, "colour": 1}, flags=257, new={}))
    assert isinstance(request, dict)
    assert request["id"] == f"otel:{TRACE}:eee19b7ec3c1b174"
    assert (request["input_tokens"], request["output_tokens"]) == (12, 3)
    assert request["status"] == "failure"
    unread = {"key": "http.url", "value": {"stringValue": 7}}
    changed = {"startTimeUnixNano": START, "attributes": [*json_span()["attributes"], unread]}
    [request] = from_json(json_span(**changed))
    assert isinstance(request, dict)
    assert request["started_at"] == START // 1000


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"[]", "the body there should be an object"),
        (b'{"resourceSpans": 7}', "resourceSpans is no list"),
        (b'{"resourceSpans": [[]]}', "In resourceSpans[0] there should be an object"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [7]}]}]}', "scopeSpans[0].spans[0]"),
    ],
)
def test_json_that_is_no_export_is_refused_with_the_place(body: bytes, said: str) -> None:
    with pytest.raises(MalformedError) as error:
        requests(body, JSON)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"startTimeUnixNano": "soon"},
        {"startTimeUnixNano": True},
        {"traceId": 7},
        {"status": []},
        {"attributes": {"a": 1}},
        {"attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1.5"}}]},
        {"attributes": [{"key": "gen_ai.usage.cost", "value": {"doubleValue": "dear"}}]},
        {"attributes": [{"key": "gen_ai.request.model", "value": {"stringValue": 4}}]},
        {"attributes": [{"key": "spendbeat.tags", "value": {"arrayValue": {"values": 4}}}]},
    ],
)
def test_a_value_of_the_wrong_type_makes_no_other_error(changed: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        from_json(json_span(**changed))


def test_bytes_that_are_no_protobuf_are_refused() -> None:
    with pytest.raises(MalformedError, match="protobuf"):
        requests(b"\xff\xff\xff\xff", PROTOBUF)


def test_an_empty_export_is_no_requests() -> None:
    assert requests(b"", PROTOBUF) == requests(b"{}", JSON) == []


# Which spans count


@pytest.mark.parametrize(
    "attributes",
    [
        {"http.request.method": "POST"},
        {**CHAT, "gen_ai.operation.name": "invoke_agent"},
        {**CHAT, "gen_ai.operation.name": "execute_tool"},
        {**CHAT, "gen_ai.operation.name": "invoke_workflow"},
        {**CHAT, "gen_ai.operation.name": "fetch_response"},
        {"openinference.span.kind": "AGENT", "llm.token_count.prompt": 5},
        {"openinference.span.kind": "CHAIN", "gen_ai.usage.input_tokens": 5},
        {"traceloop.span.kind": "workflow", **{k: v for k, v in CHAT.items() if "op" not in k}},
        {"ai.operationId": "ai.generateText", "ai.model.id": "gpt-4o", "ai.usage.inputTokens": 5},
        {"gen_ai.request.model": "gpt-4o"},
        {"gen_ai.usage.input_tokens": 5},
    ],
)
@pytest.mark.parametrize("failed", [False, True])
def test_what_is_no_request_to_a_model_is_passed_over(
    attributes: dict[str, Any], *, failed: bool
) -> None:
    assert found(Made(attributes, failed=failed)) == []


@pytest.mark.parametrize(
    "attributes",
    [
        {"llm.request.type": "chat", "gen_ai.system": "openai"},
        {"gen_ai.operation.name": "text_completion"},
        {"gen_ai.operation.name": "Generate_Content"},
        {"gen_ai.system": "openai.responses"},
        {"ai.operationId": "ai.streamText.doStream"},
    ],
)
def test_requests_as_older_and_other_libraries_name_them(attributes: dict[str, Any]) -> None:
    used = {"gen_ai.request.model": "m", "gen_ai.usage.prompt_tokens": 7}
    assert only(Made({**attributes, **used}))["input_tokens"] == 7


def test_an_operation_that_nobody_knows_is_told_to_its_sender() -> None:
    """Counting it might count its calls twice; passing it over in silence might lose spend."""
    said = refused(chat(gen_ai__operation__name="ponder"))
    assert "'ponder' is not known as one request" in said
    assert "span 0000000000000001 (chat gpt-4o)" in said
    assert found(Made({"gen_ai.operation.name": "ponder"})) == []


def test_a_success_without_usage_is_a_request_without_tokens() -> None:
    """Streams often have none. The ledger takes it as unpriced; here it is not lost."""
    usage = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    request = only(chat(without=usage))
    assert (request["input_tokens"], request["output_tokens"]) == (0, 0)
    assert (request["status"], request["id"]) == ("success", CHAT["gen_ai.response.id"])


@pytest.mark.parametrize("error", [{"error.type": "timeout"}, {}])
def test_a_failure_without_usage_is_a_request_without_tokens(error: dict[str, Any]) -> None:
    attributes = {k: v for k, v in CHAT.items() if "usage" not in k and "response" not in k}
    request = only(Made({**attributes, **error}, failed=not error))
    assert (request["status"], request["input_tokens"]) == ("failure", 0)
    assert request["id"] == OWN_ID


def test_a_failure_that_used_tokens_keeps_them() -> None:
    assert only(chat(error__type="cancelled"))["output_tokens"] == 100


# Who answered


@pytest.mark.parametrize(
    ("said", "provider"),
    [
        ("openai", "openai"),
        ("OpenAI", "openai"),
        ("openai.responses", "openai"),
        ("anthropic", "anthropic"),
        ("anthropic.messages", "anthropic"),
        ("azure.ai.openai", "azure"),
        ("az.ai.openai", "azure"),
        ("azure_openai", "azure"),
        ("azure-openai.chat", "azure"),
        ("azure.ai.inference", "azure_ai"),
        ("aws.bedrock", "bedrock"),
        ("amazon-bedrock", "bedrock"),
        ("gcp.vertex_ai", "vertex_ai"),
        ("vertex_ai", "vertex_ai"),
        ("google.vertex.chat", "vertex_ai"),
        ("gcp.gemini", "gemini"),
        ("gcp.gen_ai", "gemini"),
        ("google.generative-ai", "gemini"),
        ("cohere", "cohere"),
        ("mistral_ai", "mistral"),
        ("groq", "groq"),
        ("deepseek", "deepseek"),
        ("perplexity", "perplexity"),
        ("x_ai", "xai"),
        ("xai", "xai"),
        ("ibm.watsonx.ai", "watsonx"),
        ("acme", "acme"),
    ],
)
def test_providers_have_the_names_that_all_routes_use(said: str, provider: str) -> None:
    assert only(chat(gen_ai__provider__name=said))["provider"] == provider
    older = chat(without=["gen_ai.provider.name"], gen_ai__system=said)
    assert only(older)["provider"] == provider


@pytest.mark.parametrize(
    ("attribute", "value", "provider"),
    [
        ("server__address", "api.groq.com", "groq"),
        ("server__address", "API.DeepSeek.com", "deepseek"),
        ("gen_ai__openai__api_base", "https://openrouter.ai/api/v1", "openrouter"),
        ("gen_ai__openai__api_base", "https://me.openai.azure.com/openai", "azure"),
        ("gen_ai__openai__api_base", "http://[oops", "openai"),
        ("server__address", "api.openai.com", "openai"),
        ("server__address", "gateway.example", "openai"),
    ],
)
def test_a_client_of_openais_shape_is_known_by_whom_it_talks_to(
    attribute: str, value: str, provider: str
) -> None:
    assert only(chat(**{attribute: value}))["provider"] == provider


def test_nobody_named_is_unknown_and_not_lost() -> None:
    anonymous = chat(without=["gen_ai.provider.name", "gen_ai.request.model"])
    request = only(anonymous)
    assert (request["provider"], request["model"]) == ("unknown", "gpt-4o-2024-08-06")


@pytest.mark.parametrize(
    ("provider", "asked", "answered", "model"),
    [
        ("openai", "gpt-4o", "gpt-4o-2024-08-06", "gpt-4o"),
        ("anthropic", "claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022", None),
        ("openai", "openai/gpt-4o", "gpt-4o", "gpt-4o"),
        ("gcp.gemini", "models/gemini-2.5-pro", "gemini-2.5-pro", "gemini-2.5-pro"),
        ("vertex_ai", "publishers/google/models/gemini-2.5-pro", "", "gemini-2.5-pro"),
        ("azure.ai.openai", "gpt-4o", "gpt-4o-2024-08-06", "gpt-4o"),
        ("azure.ai.openai", "gpt-4", "gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("azure.ai.openai", "team-blue", "gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("azure.ai.openai", "team-blue", "", "team-blue"),
        ("openrouter", "openrouter/auto", "openai/gpt-4o", "openai/gpt-4o"),
        ("openai", "", "gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
    ],
)
def test_the_model_is_the_requested_one_unless_that_is_no_model(
    provider: str, asked: str, answered: str, model: str | None
) -> None:
    made = chat(
        gen_ai__provider__name=provider,
        gen_ai__request__model=asked,
        gen_ai__response__model=answered,
    )
    assert only(made)["model"] == (model or asked)


def test_a_providers_prefix_names_it_where_nothing_else_does() -> None:
    request = only(chat(without=["gen_ai.provider.name"], gen_ai__request__model="groq/llama-4"))
    assert (request["provider"], request["model"]) == ("groq", "llama-4")


# Usage

IN, OUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
READ, WRITE = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens"
THOUGHT, TOTAL = "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.total_tokens"


@pytest.mark.parametrize(
    ("said", "tokens"),
    [
        # as the conventions want it: parts are in their whole
        ({IN: 7100, OUT: 77, READ: 5000, WRITE: 2000}, (7100, 77, 5000, 2000)),
        # as Anthropic counts: more cached than there are, so they are added
        ({IN: 100, OUT: 77, READ: 5000, WRITE: 2000}, (7100, 77, 5000, 2000)),
        # less cached than not: only the total can tell
        ({IN: 6000, OUT: 77, READ: 5000, TOTAL: 11_077}, (11_000, 77, 5000, None)),
        ({IN: 6000, OUT: 77, READ: 5000, TOTAL: 6077}, (6000, 77, 5000, None)),
        ({IN: 6000, OUT: 77, READ: 5000}, (6000, 77, 5000, None)),
        # all of the prompt from the cache
        ({IN: 5000, OUT: 1, READ: 5000}, (5000, 1, 5000, None)),
        ({IN: 0, OUT: 1, READ: 5000}, (5000, 1, 5000, None)),
        ({OUT: 5}, (0, 5, None, None)),
        ({IN: "12", OUT: 3.0}, (12, 3, None, None)),
        ({"llm.usage.prompt_tokens": 4, "llm.usage.completion_tokens": 2}, (4, 2, None, None)),
        ({IN: 9, OUT: 2, "gen_ai.usage.cache_read_input_tokens": 4}, (9, 2, 4, None)),
        ({IN: 9, OUT: 2, "gen_ai.usage.input_tokens.cached": 4}, (9, 2, 4, None)),
    ],
)
def test_parts_of_the_prompt_are_in_the_prompt(
    said: dict[str, Any], tokens: tuple[int | None, ...]
) -> None:
    request = only(Made({**{k: v for k, v in CHAT.items() if "usage" not in k}, **said}))
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    assert tuple(request.get(name) for name in names) == tokens


@pytest.mark.parametrize(
    ("said", "output"),
    [
        ({OUT: 300, THOUGHT: 128}, 300),
        ({OUT: 100, THOUGHT: 128}, 228),
        ({IN: 10, OUT: 200, THOUGHT: 128, TOTAL: 338}, 328),
    ],
)
def test_reasoning_is_in_the_answer(said: dict[str, int], output: int) -> None:
    request = only(Made({**{k: v for k, v in CHAT.items() if "usage" not in k}, **said}))
    assert (request["output_tokens"], request["reasoning_tokens"]) == (output, 128)


@pytest.mark.parametrize("count", ["many", -1, 1.5, [1], float("nan")])
def test_a_count_that_is_none_is_refused_with_its_span(count: object) -> None:
    assert "span 0000000000000001" in refused(chat(gen_ai__usage__input_tokens=count))


# Ids


def test_an_id_drawn_from_a_thousand_is_no_identity() -> None:
    """Ollama's chatcmpl-0 to chatcmpl-998: two requests with one of them are two."""
    both = found(
        chat(1, gen_ai__response__id="chatcmpl-17"), chat(2, gen_ai__response__id="chatcmpl-17")
    )
    assert [r["id"] for r in both if isinstance(r, dict)] == [OWN_ID, f"otel:{TRACE}:{2:016x}"]


def test_a_span_without_any_valid_id_is_refused() -> None:
    nameless = Made({k: v for k, v in CHAT.items() if "response.id" not in k}, trace="0" * 32)
    assert "neither valid ids" in refused(nameless)


def test_the_same_span_twice_in_an_export_is_one_request() -> None:
    assert len(found(chat(), chat())) == 1


# Spans around spans


def nested(outer: Made, *inner: Made) -> list[dict[str, object] | Rejected]:
    return found(*inner, outer)


PLAIN = {k: v for k, v in CHAT.items() if "response" not in k}


def test_a_framework_around_a_client_is_one_request_also_with_spans_between() -> None:
    inner = Made(CHAT, 3, parent=2)
    between = Made({"http.request.method": "POST"}, 2, parent=1)
    request = only(inner, between, Made({**PLAIN, "session.id": "s", "enduser.id": "e"}, 1))
    assert (request["session_id"], request["end_user"]) == ("s", "e")
    assert request["id"] == CHAT["gen_ai.response.id"]


def test_a_call_that_was_tried_again_inside_a_framework_is_two_requests() -> None:
    failed = Made({k: v for k, v in PLAIN.items() if "usage" not in k}, 2, 1, failed=True)
    made = nested(Made(PLAIN, 1), failed, Made(CHAT, 3, 1, start=START + 1000))
    assert [r["status"] for r in made if isinstance(r, dict)] == ["failure", "success"]


def test_two_equal_calls_inside_one_span_are_two_requests() -> None:
    made = nested(Made(PLAIN, 1), Made(PLAIN, 2, 1), Made(PLAIN, 3, 1, start=START + 1000))
    assert len(made) == 2


def test_a_call_inside_another_with_an_answer_of_its_own_is_its_own() -> None:
    assert (
        len(nested(Made({**CHAT, "gen_ai.response.id": "another-answer"}, 1), Made(CHAT, 2, 1)))
        == 2
    )


def test_usage_is_one_librarys_and_never_put_together_from_two() -> None:
    """What one calls cached another may not; the rest of what each says is kept."""
    more = chat(1, gen_ai__usage__cache_read__input_tokens=5, gen_ai__user="u")
    less = chat(2, gen_ai__usage__cache_creation__input_tokens=7, session__id="s")
    more = Made({**more.attributes, "gen_ai.usage.reasoning_tokens": 9}, 1)
    request = only(less, more)
    assert (request["cache_read_tokens"], request["reasoning_tokens"]) == (5, 9)
    assert "cache_write_tokens" not in request
    assert (request["end_user"], request["session_id"]) == ("u", "s")


def test_a_call_inside_another_with_other_usage_is_its_own() -> None:
    """An embedding looked up on the way to an answer, say."""
    inner = Made({**PLAIN, "gen_ai.usage.input_tokens": 8}, 2, 1)
    assert len(nested(Made(PLAIN, 1), inner)) == 2


USELESS = {k: v for k, v in PLAIN.items() if "usage" not in k}


@pytest.mark.parametrize(("outer", "inner"), [(USELESS, CHAT), (PLAIN, USELESS)])
def test_where_only_one_of_two_spans_of_a_call_says_what_was_used_they_are_one_request(
    outer: dict[str, Any], inner: dict[str, Any]
) -> None:
    request = only(Made(inner, 2, 1), Made(outer, 1))
    assert request["input_tokens"] == 1000
    assert len(request["other_ids"]) + 1 == (3 if inner is CHAT else 2)


def test_a_failed_call_inside_one_that_used_something_is_its_own() -> None:
    assert len(nested(Made(PLAIN, 1), Made(USELESS, 2, 1, failed=True))) == 2


def test_spans_that_are_each_others_parents_end() -> None:
    assert len(found(Made(PLAIN, 1, parent=2), Made({}, 2, parent=1))) == 1
    assert len(found(Made(PLAIN, 1, parent=2), Made(PLAIN, 2, parent=1))) == 1


# Attribution and costs


def test_the_span_names_whom_it_was_for_before_its_resource_does() -> None:
    request = only(
        chat(spendbeat__team="blue", gen_ai__agent__name="helper", session__id="s-1"),
        spendbeat__team="red",
        spendbeat__organization="acme",
        spendbeat__sprint="42",
        service__name="shop",
    )
    wanted = {
        "team": "blue",
        "agent": "helper",
        "organization": "acme",
        "sprint": "42",
        "project": "shop",
        "session_id": "s-1",
    }
    assert wanted.items() <= request.items()


@pytest.mark.parametrize(
    ("resource", "project"),
    [
        ({"service__name": "shop", "spendbeat__project": "alpha"}, "alpha"),
        ({"service__name": "shop"}, "shop"),
        ({"service__name": "unknown_service:python"}, None),
        ({}, None),
    ],
)
def test_a_service_that_has_a_name_is_the_project_where_none_is_named(
    resource: dict[str, str], project: str | None
) -> None:
    assert only(chat(), **resource).get("project") == project


def test_tags_are_a_list_or_a_text_and_may_name_fields() -> None:
    made = chat(spendbeat__tags=["team:blue", "nightly", "nightly"], spendbeat__sprint="42")
    tags = "eu, project:alpha, sprint:41"
    request = only(made, spendbeat__tags=tags, service__name="shop")
    assert (request["team"], request["project"], request["sprint"]) == ("blue", "alpha", "42")
    assert request["tags"] == ["nightly", "eu", "sprint:41"]


def test_names_that_are_too_long_are_cut_and_the_spend_is_kept() -> None:
    request = only(chat(spendbeat__project="p" * 600, session__id="s\0s", user__id=7))
    assert (len(request["project"]), request["session_id"], request["end_user"]) == (512, "ss", "7")


@pytest.mark.parametrize(
    ("attribute", "scope", "provider", "field"),
    [
        ("spendbeat.cost_usd", "mine", "openai", "cost_usd"),
        ("gen_ai.usage.cost", "kong", "openai", "gateway_cost_usd"),
        ("litellm.cost.total", "litellm", "openai", "gateway_cost_usd"),
        ("llm.usage.total_cost", "x", "openai", "gateway_cost_usd"),
        ("gen_ai.usage.total_cost", "openrouter", "openrouter", "provider_cost_usd"),
        ("gen_ai.usage.cost", "openlit.instrumentation.openai", "openai", None),
        ("operation.cost", "pydantic-ai", "openai", None),
    ],
)
def test_a_cost_goes_under_the_name_of_who_computed_it(
    attribute: str, scope: str, provider: str, field: str | None
) -> None:
    made = Made({**CHAT, "gen_ai.provider.name": provider, attribute: 0.125}, scope=scope)
    costs = {name: value for name, value in only(made).items() if name.endswith("cost_usd")}
    assert costs == ({} if field is None else {field: 0.125})


@pytest.mark.parametrize("cost", [0, 0.0, "0", -1, "dear", float("nan")])
def test_a_cost_of_nothing_or_nonsense_is_none(cost: object) -> None:
    assert "gateway_cost_usd" not in only(chat(gen_ai__usage__cost=cost))


def test_the_tier_that_answered_wins_over_the_one_asked_for() -> None:
    made = chat(openai__response__service_tier="default", openai__request__service_tier="flex")
    assert only(made)["service_tier"] == "default"
    assert only(chat(gen_ai__openai__request__service_tier="batch"))["service_tier"] == "batch"


# The document


def test_the_document_names_every_attribute_and_no_other() -> None:
    document = (Path(__file__).parents[2] / "docs/opentelemetry.md").read_text(encoding="utf-8")
    families = "gen_ai|llm|litellm|ai|spendbeat|metadata|traceloop|openinference|openai|anthropic"
    named = set(re.findall(rf"`((?:{families})\.[\w.]+|[a-z]+\.[a-z_]+)`", document))
    assert named - {"api.groq.com"} == KNOWN
