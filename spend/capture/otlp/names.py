"""Which attributes say what, the best source first.

Names that OpenTelemetry defines come before those of single libraries. `details.*` is Pydantic AI;
`llm.token_count.*` and `llm.cost.*` are OpenInference; `input_tokens.cached` and
`output_tokens.reasoning` are Sentry; `ai.usage.*` is Vercel's AI SDK; `llm.usage.*` and
`traceloop.*` are OpenLLMetry; `metadata.*` and `litellm.*` are LiteLLM.
"""

Names = tuple[str, ...]

OPERATION = ("gen_ai.operation.name",)
# Says what a span is where it has no operation.
SPAN_KIND = ("openinference.span.kind",)
STEP_KIND = ("traceloop.span.kind",)
VERCEL_STEP = ("ai.operationId",)
REQUEST_TYPE = ("llm.request.type",)

PROVIDER = (
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
    "ai.model.provider",
)
SERVER = ("server.address",)
BASE_URL = ("gen_ai.openai.api_base", "url.full")
REQUEST_MODEL = ("gen_ai.request.model", "llm.request.model_name", "ai.model.id")
# OpenInference keeps the requested model here, as JSON.
PARAMETERS = ("llm.invocation_parameters", "embedding.invocation_parameters")
RESPONSE_MODEL = (
    "gen_ai.response.model",
    "llm.response.model_name",
    "llm.model_name",
    "embedding.model_name",
    "ai.response.model",
)
RESPONSE_ID = ("gen_ai.response.id", "ai.response.id")
CALL_ID = ("litellm.call_id",)

_GEN_AI = "gen_ai.usage."
INPUT = (
    _GEN_AI + "input_tokens",
    _GEN_AI + "prompt_tokens",
    "llm.usage.prompt_tokens",
    "llm.token_count.prompt",
    "ai.usage.inputTokens",
    "ai.usage.promptTokens",
    "ai.usage.tokens",
)
OUTPUT = (
    _GEN_AI + "output_tokens",
    _GEN_AI + "completion_tokens",
    "llm.usage.completion_tokens",
    "llm.token_count.completion",
    "ai.usage.outputTokens",
    "ai.usage.completionTokens",
)
TOTAL = (
    _GEN_AI + "total_tokens",
    "llm.usage.total_tokens",
    "llm.token_count.total",
    "ai.usage.totalTokens",
)
CACHE_READ = (
    _GEN_AI + "cache_read.input_tokens",
    _GEN_AI + "cache_read_input_tokens",
    _GEN_AI + "details.cache_read_tokens",
    _GEN_AI + "input_tokens.cached",
    "llm.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
    "ai.usage.cachedInputTokens",
)
# All that was written, for however long it stays.
CACHE_WRITE = (
    _GEN_AI + "cache_creation.input_tokens",
    _GEN_AI + "cache_write.input_tokens",
    _GEN_AI + "cache_creation_input_tokens",
    _GEN_AI + "details.cache_write_tokens",
    _GEN_AI + "input_tokens.cache_write",
    "llm.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
)
CACHE_WRITE_1H = ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",)
REASONING = (
    _GEN_AI + "reasoning.output_tokens",
    _GEN_AI + "reasoning_tokens",
    _GEN_AI + "details.reasoning_tokens",
    _GEN_AI + "output_tokens.reasoning",
    "llm.usage.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
    "ai.usage.reasoningTokens",
)
AUDIO_INPUT = (
    _GEN_AI + "audio.input_tokens",
    _GEN_AI + "details.input_audio_tokens",
    "llm.token_count.prompt_details.audio",
)
AUDIO_OUTPUT = (
    _GEN_AI + "audio.output_tokens",
    _GEN_AI + "details.output_audio_tokens",
    "llm.token_count.completion_details.audio",
)

TIER = (
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "anthropic.response.service_tier",
    "openai.request.service_tier",
    "gen_ai.openai.request.service_tier",
)
COST = ("spendbeat.cost_usd",)  # said by whoever sends it to us, so it is final
REPORTED_COST = (
    "litellm.cost.total",
    "gen_ai.cost.total_cost",
    _GEN_AI + "cost",
    _GEN_AI + "total_cost",
    "llm.cost.total",
    "llm.usage.total_cost",
)
ERROR = ("error.type",)

SESSION = (
    "gen_ai.conversation.id",
    "session.id",
    "traceloop.association.properties.session_id",
    "ai.telemetry.metadata.sessionId",
)
END_USER = (
    "enduser.id",
    "user.id",
    "gen_ai.user",
    "gen_ai.request.user",
    "llm.user",
    "traceloop.association.properties.user_id",
    "ai.telemetry.metadata.userId",
    "metadata.user_api_key_end_user_id",
)
TAGS = ("spendbeat.tags", "tag.tags")
SERVICE = "service.name"  # the last resort for a project
ATTRIBUTION: dict[str, Names] = {
    "organization": (
        "spendbeat.organization",
        "metadata.user_api_key_org_alias",
        "metadata.user_api_key_org_id",
    ),
    "project": (
        "spendbeat.project",
        "metadata.user_api_key_project_alias",
        "metadata.user_api_key_project_id",
        "openinference.project.name",
    ),
    "sprint": ("spendbeat.sprint",),
    "agent": ("spendbeat.agent", "gen_ai.agent.name", "agent.name"),
    "user_id": ("spendbeat.user", "spendbeat.user_id", "metadata.user_api_key_user_id"),
    "team": (
        "spendbeat.team",
        "metadata.user_api_key_team_alias",
        "metadata.user_api_key_team_id",
    ),
    "api_key": (
        "spendbeat.api_key",
        "metadata.user_api_key_alias",
        "metadata.user_api_key_hash",
    ),
}


def _all() -> frozenset[str]:
    found: set[str] = {SERVICE}
    for name, value in globals().items():
        if name.isupper() and isinstance(value, tuple):
            found.update(value)
    return frozenset(found.union(*ATTRIBUTION.values()))


# Prompts and answers travel as attributes too; what is not in here is not even decoded.
KNOWN = _all()
