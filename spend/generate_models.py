"""What the generator's callers ask: models, how often, and how long their prompts are."""

from typing import NamedTuple


class Model(NamedTuple):
    """One provider's model in made-up traffic."""

    provider: str
    name: str
    weight: int
    prompt: int  # median of input tokens
    answer: int  # median of output tokens
    cache: str = ""  # "": none, read: by itself, write: paid for, as Anthropic does
    reasons: bool = False
    audio: bool = False


MODELS = (
    Model("openai", "gpt-4o", 9, 900, 220, "read"),
    Model("openai", "gpt-4o-mini", 14, 700, 160, "read"),
    Model("openai", "gpt-4.1", 6, 1800, 260, "read"),
    Model("openai", "gpt-4.1-mini", 7, 1100, 180, "read"),
    Model("openai", "gpt-5", 6, 2400, 900, "read", reasons=True),
    Model("openai", "gpt-5-mini", 8, 1500, 600, "read", reasons=True),
    Model("openai", "gpt-4o-audio-preview", 1, 1300, 400, audio=True),
    Model("openai", "text-embedding-3-small", 5, 300, 0),
    Model("anthropic", "claude-sonnet-4-5", 10, 6500, 420, "write"),
    Model("anthropic", "claude-haiku-4-5", 8, 2200, 240, "write"),
    Model("anthropic", "claude-opus-4-1", 2, 5200, 700, "write"),
    Model("anthropic", "claude-3-5-haiku-latest", 3, 1500, 210, "write"),
    Model("google", "gemini-2.5-pro", 4, 7400, 800, "read", reasons=True),
    Model("google", "gemini-2.5-flash", 8, 2600, 300, "read", reasons=True),
    Model("google", "gemini-2.5-flash-lite", 5, 1200, 140),
    Model("google", "gemini-2.0-flash", 3, 1400, 180, "read"),
    Model("azure", "gpt-4o", 6, 1020, 211),
    Model("azure", "gpt-4o-mini", 5, 930, 150),
    Model("azure", "o4-mini", 2, 1900, 1100, "read", reasons=True),
    Model("mistral", "mistral-large-2512", 2, 1600, 260),
    Model("mistral", "mistral-small-latest", 3, 800, 170),
    Model("mistral", "codestral-2508", 3, 2048, 28),
    Model("deepseek", "deepseek-chat", 3, 1700, 320, "read"),
    Model("groq", "llama-3.3-70b-versatile", 3, 900, 190),
    Model("cohere", "command-r-plus", 1, 1900, 240),
    # Runs at home, so it costs nothing; and one that no price list knows.
    Model("ollama", "llama3.1:8b", 3, 600, 150),
    Model("openai", "orchid-preview", 1, 1000, 300),
)
