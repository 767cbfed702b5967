"""OTLP traces: from the spans of an instrumented program to requests.

The attributes are those of the OpenTelemetry semantic conventions for generative AI, as
opentelemetry-semantic-conventions 0.66b2 (schema 1.44.0) names them, with their older names up to
1.36 (`gen_ai.system`, `gen_ai.usage.prompt_tokens`) and the newer ones of the conventions' own
repository, open-telemetry/semantic-conventions-genai (`gen_ai.usage.cache_write.input_tokens`,
`fetch_response`). Beside them those that libraries in use really send: OpenLLMetry, OpenInference,
Pydantic AI, OpenLIT, the SDKs of Anthropic and Vercel, LiteLLM. All names are in names.py.
"""

from spend.capture.otlp.decode import MalformedError, decode
from spend.capture.otlp.mapping import requests_of
from spend.capture.request import Rejected

__all__ = ["MalformedError", "requests"]


def requests(body: bytes, content_type: str) -> list[dict[str, object] | Rejected]:
    """The LLM requests in an ExportTraceServiceRequest, as mappings of request fields.

    content_type: application/x-protobuf or application/json, parameters allowed. A span that is
    an LLM request but cannot be booked is a Rejected in its place; spans that are none are left
    out. Raises MalformedError.
    """
    return requests_of(decode(body, content_type))
