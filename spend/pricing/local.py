"""Providers that run on hardware of one's own: no price per token, so their cost is a known zero.

An override for such a provider (say, for the hours of a rented GPU) wins over this list.
"""

LOCAL_PROVIDERS = frozenset(
    {
        "gpt4all",
        "huggingface-local",
        "jan",
        "koboldcpp",
        "llama-cpp",
        "llama.cpp",
        "llamacpp",
        "llamafile",
        "lm-studio",
        "lm_studio",
        "lmstudio",
        "local",
        "localai",
        "mlx",
        "ollama",
        "sglang",
        "text-generation-inference",
        "tgi",
        "vllm",
    }
)


def is_local(provider: str) -> bool:
    """True for a provider whose requests cost nothing."""
    return provider.lower() in LOCAL_PROVIDERS
