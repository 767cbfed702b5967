"""Attributes of spans that libraries really made, calling servers that answer like real ones.

Captured with opentelemetry-instrumentation-openai-v2 2.4b0 (opentelemetry-util-genai 1.0b0),
opentelemetry-instrumentation-openai and -anthropic 0.62.4 (OpenLLMetry), openinference-
instrumentation-openai 0.1.66 and -anthropic 3.1.0, anthropic 2.12.0 (which makes spans itself),
pydantic-ai 2.31.1 and openlit (gen_ai.sdk.version 2.54.0), without prompts and answers.

The OpenAI server said 2006 prompt tokens of which 1920 cached, 300 completion tokens of which 128
reasoning; the Anthropic one 100 input tokens, 5000 read from the cache and 2000 written to it, 500
of them for an hour, 77 output tokens.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Captured:
    """What one library said of one call, and the fields that we make of it."""

    library: str
    call: str
    scope: str
    attributes: dict[str, Any]
    fields: dict[str, Any]
    failed: bool = False


_OPENAI_ID = "chatcmpl-fake000000000000000000000001"
_RESPONSE_ID = "resp_fake0000000000000000000000000000000000000005"
_ANTHROPIC_ID = "msg_01fake000000000000000001"
_CHAT = {"provider": "openai", "model": "gpt-4o", "input_tokens": 2006, "output_tokens": 300}
_MESSAGE = {
    "provider": "anthropic",
    "model": "claude-sonnet-4-5",
    "input_tokens": 7100,
    "output_tokens": 77,
    "cache_read_tokens": 5000,
}
_FAILED = {"provider": "openai", "model": "broken", "status": "failure", "input_tokens": 0}

CAPTURED = [
    Captured(
        "openai-v2",
        "chat",
        "opentelemetry.util.genai.handler",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.response.id": _OPENAI_ID,
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.usage.input_tokens": 2006,
            "gen_ai.usage.output_tokens": 300,
            "openai.response.service_tier": "default",
            "openai.response.system_fingerprint": "fp_1",
        },
        {**_CHAT, "id": _OPENAI_ID, "service_tier": "default", "status": "success"},
    ),
    Captured(
        "openai-v2",
        "stream without usage",
        "opentelemetry.util.genai.handler",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.id": "chatcmpl-fake000000000000000000000003",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "openai.response.service_tier": "default",
        },
        {"provider": "openai", "model": "gpt-4o", "input_tokens": 0, "status": "success"},
    ),
    Captured(
        "openai-v2",
        "embeddings",
        "opentelemetry.instrumentation.openai_v2",
        {
            "gen_ai.embeddings.dimension.count": 2,
            "gen_ai.operation.name": "embeddings",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "text-embedding-3-small",
            "gen_ai.response.model": "text-embedding-3-small",
            "gen_ai.usage.input_tokens": 8,
        },
        {"provider": "openai", "model": "text-embedding-3-small", "input_tokens": 8},
    ),
    Captured(
        "openai-v2",
        "failure",
        "opentelemetry.util.genai.handler",
        {
            "error.type": "NotFoundError",
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "broken",
        },
        _FAILED,
        failed=True,
    ),
    Captured(
        "OpenLLMetry",
        "chat",
        "opentelemetry.instrumentation.openai.v1",
        {
            "gen_ai.is_streaming": False,
            "gen_ai.openai.api_base": "http://127.0.0.1:41345/v1/",
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.id": _OPENAI_ID,
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.usage.cache_read.input_tokens": 1920,
            "gen_ai.usage.input_tokens": 2006,
            "gen_ai.usage.output_tokens": 300,
            "gen_ai.usage.reasoning_tokens": 128,
            "gen_ai.usage.total_tokens": 2306,
            "gen_ai.user": "u1",
            "openai.response.service_tier": "default",
        },
        {**_CHAT, "cache_read_tokens": 1920, "reasoning_tokens": 128, "end_user": "u1"},
    ),
    Captured(
        "OpenLLMetry",
        "responses",
        "opentelemetry.instrumentation.openai.v1",
        {
            "gen_ai.is_streaming": False,
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.id": _RESPONSE_ID,
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.usage.cache_read.input_tokens": 128,
            "gen_ai.usage.input_tokens": 500,
            "gen_ai.usage.output_tokens": 60,
            "gen_ai.usage.reasoning_tokens": 20,
            "gen_ai.usage.total_tokens": 560,
            "openai.response.service_tier": "flex",
        },
        {"id": _RESPONSE_ID, "input_tokens": 500, "output_tokens": 60, "service_tier": "flex"},
    ),
    Captured(
        "OpenLLMetry",
        "messages",
        "opentelemetry.instrumentation.anthropic",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.max_tokens": 99,
            "gen_ai.request.model": "claude-sonnet-4-5",
            "gen_ai.response.id": _ANTHROPIC_ID,
            "gen_ai.response.model": "claude-sonnet-4-5-20250929",
            "gen_ai.usage.cache_creation.input_tokens": 2000,
            "gen_ai.usage.cache_read.input_tokens": 5000,
            "gen_ai.usage.input_tokens": 7100,
            "gen_ai.usage.output_tokens": 77,
            "gen_ai.usage.total_tokens": 7177,
        },
        {**_MESSAGE, "id": _ANTHROPIC_ID, "cache_write_tokens": 2000},
    ),
    Captured(
        "Anthropic's SDK",
        "messages",
        "com.anthropic.sdk.python",
        {
            "anthropic.response.service_tier": "standard",
            "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 500,
            "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": 1500,
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-sonnet-4-5",
            "gen_ai.response.id": _ANTHROPIC_ID,
            "gen_ai.response.model": "claude-sonnet-4-5-20250929",
            "gen_ai.usage.cache_read.input_tokens": 5000,
            "gen_ai.usage.cache_write.input_tokens": 2000,
            "gen_ai.usage.input_tokens": 7100,
            "gen_ai.usage.output_tokens": 77,
            "server.address": "127.0.0.1",
            "url.full": "http://127.0.0.1:41745/v1/messages",
        },
        {
            **_MESSAGE,
            "id": _ANTHROPIC_ID,
            "cache_write_tokens": 1500,
            "cache_write_1h_tokens": 500,
            "service_tier": "standard",
        },
    ),
    Captured(
        "OpenInference",
        "chat",
        "openinference.instrumentation.openai",
        {
            "llm.invocation_parameters": '{"model": "gpt-4o", "user": "u1"}',
            "llm.model_name": "gpt-4o-2024-08-06",
            "llm.system": "openai",
            "llm.token_count.completion": 300,
            "llm.token_count.completion_details.audio": 0,
            "llm.token_count.completion_details.reasoning": 128,
            "llm.token_count.prompt": 2006,
            "llm.token_count.prompt_details.audio": 0,
            "llm.token_count.prompt_details.cache_read": 1920,
            "llm.token_count.total": 2306,
            "openinference.span.kind": "LLM",
        },
        {**_CHAT, "cache_read_tokens": 1920, "reasoning_tokens": 128},
    ),
    Captured(
        "OpenInference",
        "embeddings",
        "openinference.instrumentation.openai",
        {
            "embedding.invocation_parameters": '{"model": "text-embedding-3-small"}',
            "embedding.model_name": "text-embedding-3-small",
            "llm.system": "openai",
            "llm.token_count.prompt": 8,
            "llm.token_count.total": 8,
            "openinference.span.kind": "EMBEDDING",
        },
        {"provider": "openai", "model": "text-embedding-3-small", "input_tokens": 8},
    ),
    Captured(
        "OpenInference",
        "failure",
        "openinference.instrumentation.openai",
        {
            "llm.invocation_parameters": '{"model": "broken"}',
            "llm.system": "openai",
            "openinference.span.kind": "LLM",
        },
        _FAILED,
        failed=True,
    ),
    Captured(
        "OpenInference",
        "messages",
        "openinference.instrumentation.anthropic",
        {
            "llm.invocation_parameters": '{"max_tokens": 99}',
            "llm.model_name": "claude-sonnet-4-5-20250929",
            "llm.provider": "anthropic",
            "llm.request.model_name": "claude-sonnet-4-5",
            "llm.response.model_name": "claude-sonnet-4-5-20250929",
            "llm.system": "anthropic",
            "llm.token_count.completion": 77,
            "llm.token_count.prompt": 7100,
            "llm.token_count.prompt_details.cache_read": 5000,
            "llm.token_count.prompt_details.cache_write": 2000,
            "llm.token_count.total": 7177,
            "openinference.span.kind": "LLM",
        },
        {**_MESSAGE, "cache_write_tokens": 2000},
    ),
    Captured(
        "Pydantic AI",
        "chat",
        "pydantic-ai",
        {
            "gen_ai.agent.name": "helper",
            "gen_ai.conversation.id": "01a200ec-e17a-759c-813e-8f22e5498049",
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.id": _OPENAI_ID,
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.system": "openai",
            "gen_ai.usage.cache_read.input_tokens": 1920,
            "gen_ai.usage.details.audio_tokens": 0,
            "gen_ai.usage.details.cache_read_tokens": 1920,
            "gen_ai.usage.details.reasoning_tokens": 128,
            "gen_ai.usage.input_tokens": 2006,
            "gen_ai.usage.output_tokens": 300,
            "operation.cost": 0.005615,
            "server.address": "127.0.0.1",
        },
        {
            **_CHAT,
            "cache_read_tokens": 1920,
            "reasoning_tokens": 128,
            "agent": "helper",
            "session_id": "01a200ec-e17a-759c-813e-8f22e5498049",
        },
    ),
    Captured(
        "OpenLIT",
        "chat without a price",
        "openlit.instrumentation.openai",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.request.user": "u1",
            "gen_ai.response.id": _OPENAI_ID,
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.usage.cache_creation.input_tokens": 0,
            "gen_ai.usage.cache_read.input_tokens": 1920,
            "gen_ai.usage.cost": 0,
            "gen_ai.usage.input_tokens": 2006,
            "gen_ai.usage.output_tokens": 300,
            "telemetry.sdk.name": "openlit",
        },
        {**_CHAT, "cache_read_tokens": 1920, "end_user": "u1"},
    ),
]

# Pydantic AI's span around the chat above: the sum of its calls, under names of its own.
AGENT = {
    "gen_ai.agent.name": "helper",
    "gen_ai.aggregated_usage.input_tokens": 2006,
    "gen_ai.aggregated_usage.output_tokens": 300,
    "gen_ai.operation.name": "invoke_agent",
    "model_name": "gpt-4o",
}
