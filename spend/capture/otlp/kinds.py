"""Which spans are one request to a model.

A span of an agent, a workflow or a tool often carries the usage of all the calls inside it:
counting it too would count them twice.
"""

from enum import Enum

from spend.capture.otlp import names
from spend.capture.otlp.span import Span
from spend.capture.otlp.values import first, text


class Kind(Enum):
    REQUEST = "one request to a model"
    OTHER = "something else"
    UNKNOWN = "not known to be one request"


OTHER = Kind.OTHER
# gen_ai.operation.name: the well-known ones, then those of libraries.
_REQUESTS = frozenset(
    {
        "chat",
        "embeddings",
        "generate_content",
        "text_completion",
        "call_llm",
        "completion",
        "embedding",
        "image_generation",
        "llm_request",
        "message",
        "messages",
        "rerank",
        "responses",
        "speech",
        "text_generation",
        "transcription",
        # LiteLLM's call types, which its older spans use as operations
        "acompletion",
        "aembedding",
        "aimage_generation",
        "anthropic_messages",
        "arerank",
        "aresponses",
        "aspeech",
        "atext_completion",
        "atranscription",
    }
)
_OTHERS = frozenset(
    {
        "create_agent",
        "create_memory",
        "create_memory_store",
        "delete_memory",
        "delete_memory_store",
        "execute_task",
        "execute_tool",
        "fetch_response",  # reads an answer that was made, and paid for, before
        "invoke_agent",
        "invoke_workflow",
        "plan",
        "retrieval",
        "search_memory",
        "update_memory",
        "upsert_memory",
        "vector_db_retrieve",
    }
)
_OPENINFERENCE = frozenset({"llm", "embedding"})
_TRACELOOP = frozenset({"chat", "completion", "embedding", "rerank"})


def kind_of(span: Span) -> Kind:
    """What a span stands for, by what it says of itself, else by what it carries."""
    operation = text(first(span.attributes, names.OPERATION)).lower()
    if operation in _REQUESTS:
        return Kind.REQUEST
    if operation in _OTHERS:
        return OTHER
    if operation:
        return Kind.UNKNOWN if _measured(span) else OTHER
    return Kind.REQUEST if _is_request(span) else OTHER


def _is_request(span: Span) -> bool:
    """Without an operation: each library has its own word for what a span is."""
    attributes = span.attributes
    if kind := text(first(attributes, names.SPAN_KIND)):
        return kind.lower() in _OPENINFERENCE
    if step := text(first(attributes, names.VERCEL_STEP)):
        # ai.generateText sums up its calls, ai.generateText.doGenerate is one
        return step.rpartition(".")[2].startswith("do")
    if text(first(attributes, names.STEP_KIND)):
        return False
    asked = text(first(attributes, names.REQUEST_TYPE)).lower()
    return asked in _TRACELOOP or _measured(span)


def _measured(span: Span) -> bool:
    """Whether it has a model and a usage under OpenTelemetry's names."""
    usage = (*names.INPUT[:2], *names.OUTPUT[:2])
    model = (names.REQUEST_MODEL[0], names.RESPONSE_MODEL[0])
    return first(span.attributes, usage) is not None and first(span.attributes, model) is not None
