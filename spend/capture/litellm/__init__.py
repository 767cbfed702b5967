"""One StandardLoggingPayload of LiteLLM to one request, for all three ways it can come.

Our callback ships it trimmed, LiteLLM's generic API logger as it is, and a row of
LiteLLM_SpendLogs can be written as one. What was found in the sources and by running 1.60, 1.80,
1.90, 1.100 and 1.106.2, and what follows for the identity of an attempt:

- `litellm_call_id` names an attempt in the SDK, but all attempts of one HTTP request in the proxy:
  a failed one and then the fallback that succeeded have the same. Clients may choose it
  (`x-litellm-call-id`) and use it twice. So it identifies together with the moment at which the
  attempt began, which payload and callback state alike to the microsecond.
- `/v1/responses` and requests refused by the proxy are told twice, by the sync and the async hook,
  with one call id and one moment, and sometimes two response ids.
- `id` is the provider's response id, else the call id (embeddings, failures). It equals
  `LiteLLM_SpendLogs.request_id`, which joins callback and table. Short ids and UUIDs count only
  within the second in which the attempt began: Ollama's OpenAI API draws `chatcmpl-<0..999>`.
- A failure is `failed:<call id>`: the proxy writes it with the call id for request_id, and LiteLLM
  tells one failure per call id, also where two attempts failed under it (since before 1.80).
- A cache hit has `<original id>_cache_hit<time>`, with another time in the table than in the
  payload. Only the call id joins them: in the table's metadata since 1.100, and as a column since
  1.106.2. Before that a cache hit that comes by both routes counts as two requests (of 0 dollars).
- A batch is polled under one id; only its final poll has tokens and a cost. In the table that row's
  request_id ends with `_batch_cost`.

Differences between versions: the payload has `litellm_call_id` from 1.90 (the callback adds it for
older ones), `usage_object` from 1.72, `cost_breakdown` from 1.80.
"""

from collections.abc import Mapping
from typing import Any

from spend.capture.litellm.attribution import attribution, said
from spend.capture.litellm.identity import ids
from spend.capture.litellm.loose import first, mapping, seconds
from spend.capture.litellm.naming import provider_and_model
from spend.capture.litellm.usage import costs, service_tier, tokens
from spend.capture.request import Rejected

__all__ = ["request"]

_TIMES = ("startTime", "completionStartTime", "endTime")


def request(payload: Mapping[str, Any]) -> dict[str, object]:
    """The request fields of one payload; those that it does not know are left out.

    Odd values are left out too. Raises Rejected for what is no payload at all.
    """
    if not isinstance(payload, Mapping):
        raise Rejected("not a StandardLoggingPayload: it is no JSON object")
    started = next((at for name in _TIMES if (at := seconds(payload.get(name)))), None)
    if started is None:
        raise Rejected("not a StandardLoggingPayload: it has no startTime")
    provider, model = provider_and_model(payload)
    used = tokens(payload)
    paid = costs(payload, provider=provider, used=any(used.values()))
    known = ids(payload, started=started, measured=any(used.values()) or any(paid.values()))
    metadata = mapping(payload.get("metadata"))
    caller = said(metadata)
    fields: dict[str, object] = {
        "id": known[0],
        "other_ids": known[1:],
        "started_at": started,
        "provider": provider,
        "model": model,
        **used,
        **paid,
        "status": "failure" if payload.get("status") == "failure" else "success",
        "service_tier": service_tier(payload),
        "trace_id": first(payload, "trace_id"),
        "session_id": first(payload, "session_id") or first(caller, "session_id"),
        "end_user": first(payload, "end_user")
        or first(metadata, "user_api_key_end_user_id")
        or first(caller, "end_user")
        # The SDK has it only among the call's parameters.
        or first(mapping(payload.get("model_parameters")), "user"),
        **attribution(payload),
    }
    return {name: value for name, value in fields.items() if value is not None and value != []}
