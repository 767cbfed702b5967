"""From the spans of one export to the fields of requests."""

import re
from collections.abc import Sequence

import orjson

from spend.attribution.tags import spread
from spend.capture.otlp import names
from spend.capture.otlp.kinds import OTHER, Kind, kind_of
from spend.capture.otlp.providers import provider_of
from spend.capture.otlp.span import Attributes, Span, Value
from spend.capture.otlp.twins import OWN_ID, Seen, once
from spend.capture.otlp.usage import usage_of
from spend.capture.otlp.values import first, text
from spend.capture.request import Rejected
from spend.capture.values import MAX_TAGS, MAX_TEXT, cost

_TRACE_ID = re.compile(r"(?!0+$)[0-9a-f]{32}")
_SPAN_ID = re.compile(r"(?!0+$)[0-9a-f]{16}")
# Ollama draws the ids of its answers from 999 numbers, so one comes back within minutes.
_DRAWN_ID = re.compile(r"chatcmpl-\d{1,3}")
# The SDK's own name for a service that nobody named.
_NAMELESS = "unknown_service"
_NOBODY = "unknown"
# Routers, not models: which model answered is what has a price.
_ROUTERS = ("auto", "openrouter/auto", "model-router")
# Libraries that guess a cost from the tokens, as we do, but without dates, tiers and one's own
# prices.
_ESTIMATING = ("openlit", "pydantic-ai")


def requests_of(spans: Sequence[Span]) -> list[dict[str, object] | Rejected]:
    """The LLM requests among the spans of one export, each once; in their order."""
    return once(
        [_seen(span, kind) for span in spans if (kind := kind_of(span)) is not OTHER], spans
    )


def _seen(span: Span, kind: Kind) -> Seen:
    try:
        return Seen(span, _fields(span, kind))
    except Rejected as verdict:
        return Seen(span, Rejected(f"span {span.span_id or '?'} ({span.name:.60}): {verdict}"))


def _fields(span: Span, kind: Kind) -> dict[str, object]:
    attributes = span.attributes
    if kind is Kind.UNKNOWN:
        operation = text(first(attributes, names.OPERATION))
        raise Rejected(f"gen_ai.operation.name {operation!r:.60} is not known as one request")
    provider, model = _who_answered(attributes)
    failed = span.failed or first(attributes, names.ERROR) is not None
    ids = _ids(span)
    if not ids:
        raise Rejected("it has neither valid ids nor gen_ai.response.id")
    said: dict[str, object] = {
        "id": ids[0],
        "other_ids": ids[1:],
        "started_at": span.start_ns // 1000,
        "provider": provider,
        "model": model,
        "input_tokens": 0,
        "output_tokens": 0,
        # A success that says no usage stays without tokens, and so is unpriced, not free.
        **usage_of(attributes),
        **_costs(span, provider),
        "status": "failure" if failed else "success",
        "trace_id": span.trace_id if _TRACE_ID.fullmatch(span.trace_id) else "",
        "session_id": _text(span, names.SESSION),
        "end_user": _text(span, names.END_USER),
        "service_tier": text(first(attributes, names.TIER)),
        **{field: _text(span, wanted) for field, wanted in names.ATTRIBUTION.items()},
    }
    fields = spread({name: value for name, value in said.items() if value != ""}, _tags(span))
    service = text(span.resource.get(names.SERVICE))
    if service and "project" not in fields and not service.startswith(_NAMELESS):
        fields["project"] = service
    return fields


def _who_answered(attributes: Attributes) -> tuple[str, str]:
    """Provider and model, as the other routes name them; "unknown" where nothing names them.

    The model is the requested one, which is what LiteLLM names and what price lists know; the
    response's (gpt-4o-2024-08-06) would make a conflict of a request that comes by both ways.
    Azure's request names a deployment, which may be called anything: there the response's is
    taken, unless the deployment is called like the model. A router's too.
    """
    asked = _bare(text(first(attributes, names.REQUEST_MODEL)) or _parameter(attributes, "model"))
    answered = _bare(text(first(attributes, names.RESPONSE_MODEL)))
    said = text(first(attributes, names.PROVIDER)) or asked.rpartition("/")[0].partition("/")[0]
    provider = provider_of(
        said, text(first(attributes, names.SERVER)), text(first(attributes, names.BASE_URL))
    )
    asked, answered = asked.removeprefix(f"{provider}/"), answered.removeprefix(f"{provider}/")
    renamed = provider in ("azure", "azure_ai") and not _is_version_of(answered, asked)
    model = answered if answered and (renamed or asked in _ROUTERS) else asked or answered
    return provider or _NOBODY, model or _NOBODY


def _bare(model: str) -> str:
    """A model's name without the path that Google's API puts before it."""
    return re.sub(r"^(publishers/[^/]+/)?models/", "", model)


def _is_version_of(answered: str, asked: str) -> bool:
    return answered.startswith(asked) and bool(
        re.fullmatch(r"([-@:]v?\d[\d-]*)?", answered[len(asked) :])
    )


def _parameter(attributes: Attributes, name: str) -> str:
    written = first(attributes, names.PARAMETERS)
    try:
        found = orjson.loads(written) if isinstance(written, str) else None
    except orjson.JSONDecodeError:
        return ""
    return text(found.get(name)) if isinstance(found, dict) else ""


def _ids(span: Span) -> list[str]:
    """The provider's id of the response first: it is what other routes know the request by."""
    said = (first(span.attributes, wanted) for wanted in (names.RESPONSE_ID, names.CALL_ID))
    found = [id_ for value in said if (id_ := str(value or "").strip()) and _tells_apart(id_)]
    if _TRACE_ID.fullmatch(span.trace_id) and _SPAN_ID.fullmatch(span.span_id):
        found.append(f"{OWN_ID}{span.trace_id}:{span.span_id}")
    return found


def _tells_apart(id_: str) -> bool:
    return len(id_) <= MAX_TEXT and "\0" not in id_ and not _DRAWN_ID.fullmatch(id_)


def _costs(span: Span, provider: str) -> dict[str, object]:
    """The costs that came with a span, under the names of who computed them.

    Zero is passed over: what computes costs says 0 for models that it does not know.
    """
    found: dict[str, object] = {}
    said = first(span.attributes, names.COST)
    if said is not None:
        found["cost_usd"] = said
    reported = _amount(first(span.attributes, names.REPORTED_COST))
    if reported is not None and not span.scope.startswith(_ESTIMATING):
        # OpenRouter is who sends the invoice, and says the price with each answer.
        field = "provider_cost_usd" if provider == "openrouter" else "gateway_cost_usd"
        found[field] = reported
    return found


def _amount(value: Value | None) -> Value | None:
    try:
        return value if cost(value) else None
    except Rejected:
        return None


def _text(span: Span, wanted: names.Names) -> str:
    """What the span says, else its resource: the narrower of the two."""
    return text(first(span.attributes, wanted)) or text(first(span.resource, wanted))


def _tags(span: Span) -> list[str]:
    found: dict[str, None] = {}
    for attributes in (span.attributes, span.resource):
        for name in names.TAGS:
            value = attributes.get(name, ())
            parts = value if isinstance(value, tuple) else str(value).split(",")
            found.update((tag, None) for part in parts if (tag := text(part)))
    return list(found)[:MAX_TAGS]
