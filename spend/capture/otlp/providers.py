"""Providers under the names that all routes use, which are LiteLLM's."""

from urllib.parse import urlsplit

# Well-known values of gen_ai.provider.name and of the older gen_ai.system, and what libraries
# send that follow neither.
_NAMES = {
    "amazon-bedrock": "bedrock",
    "aws": "bedrock",
    "aws.bedrock": "bedrock",
    "aws_bedrock": "bedrock",
    "az.ai.inference": "azure_ai",
    "az.ai.openai": "azure",
    "azure-openai": "azure",
    "azure.ai.inference": "azure_ai",
    "azure.ai.openai": "azure",
    "azure_openai": "azure",
    "fireworks": "fireworks_ai",
    "gcp.gemini": "gemini",
    "gcp.gen_ai": "gemini",
    "gcp.vertex.agent": "vertex_ai",
    "gcp.vertex_ai": "vertex_ai",
    "google": "gemini",
    "google.generative-ai": "gemini",
    "google.vertex": "vertex_ai",
    "hugging_face": "huggingface",
    "ibm.watsonx.ai": "watsonx",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "together": "together_ai",
    "togetherai": "together_ai",
    "vertexai": "vertex_ai",
    "x_ai": "xai",
}
# Who answers at these hosts. A client of OpenAI's shape names OpenAI whomever it talks to.
_HOSTS = {
    "api.anthropic.com": "anthropic",
    "api.cerebras.ai": "cerebras",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks_ai",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.perplexity.ai": "perplexity",
    "api.together.ai": "together_ai",
    "api.together.xyz": "together_ai",
    "api.x.ai": "xai",
    "generativelanguage.googleapis.com": "gemini",
    "openrouter.ai": "openrouter",
}
_DOMAINS = {
    ".openai.azure.com": "azure",
    "aiplatform.googleapis.com": "vertex_ai",
}


def provider_of(said: str, server: str = "", url: str = "") -> str:
    """LiteLLM's name of the provider that a span names, or whose host it talked to; "" for none.

    said: as the span has it, perhaps with the API behind a dot (openai.responses).
    """
    name = said.strip().lower()
    found = _NAMES.get(name)
    if found is None and "." in name:
        name = name.rpartition(".")[0]
        found = _NAMES.get(name)
    found = found or name
    if found in ("", "openai", "gemini"):
        return _of_host(server or _host(url)) or found
    return found


def _of_host(host: str) -> str | None:
    host = host.strip().lower()
    if host in _HOSTS:
        return _HOSTS[host]
    return next((name for domain, name in _DOMAINS.items() if host.endswith(domain)), None)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # brackets that are no address
        return ""
