"""What a request may use at most: read from its text, its messages, or the whole of it.

The shapes are those of OpenAI's (chat, responses, completions, embeddings), Anthropic's,
Gemini's and Bedrock's requests. Keys that are not known are not input; docs/guard.md has the
figures.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spendbeat_gateway.guard import parts
from spendbeat_gateway.guard.tokens import Counter, most_as_json

# What stands around the texts: roles and separators, and what a template says before them. The
# longest known template without a system message is gpt-oss', below 100 tokens.
REQUEST = 128
MESSAGE = 16
PART = 8
# Tools, and answers that must follow a schema, have instructions of their own (Anthropic's: 346).
TOOLS = 1024
# Media: figures to work with, no bounds.
IMAGE = 5_000
FILE = 20_000
_AUDIO_BYTES = 62  # base64 characters per token: 16 kbit/s speech, 32 tokens a second
_FILE_CHARACTERS = 4

_TEXTS = (
    "messages", "system", "instructions", "prompt", "input", "suffix", "contents", "query",
    "documents", "systemInstruction", "system_instruction",
)  # fmt: skip
_SCHEMAS = (
    "tools", "toolConfig", "functions", "response_format", "output_format", "output_config",
)  # fmt: skip
# Where Gemini and Bedrock have what others have beside the messages.
_NESTED = ("generationConfig", "generation_config", "inferenceConfig")
_MOST = (
    "max_completion_tokens", "max_output_tokens", "max_tokens", "maxOutputTokens", "maxTokens",
)  # fmt: skip
_CHOICES = ("n", "best_of", "candidateCount", "candidate_count")
# With one of these the provider adds input that the request does not show.
_UNSEEN = (
    "container", "conversation", "mcp_servers", "plugins", "previous_response_id", "prompt_id",
    "prompt_variables", "search_parameters", "vector_store_ids", "web_search_options",
)  # fmt: skip
_OWN_TOOLS = frozenset({"custom", "function", None})


@dataclass
class Ask:
    """The most that a request may use.

    output: of one choice; None: it does not say. more_output: on top of that, of all together.
    unbounded: what could not be bounded, in words. long_writes: it may write to the cache for an
    hour. tier: the service tier that it asks for.
    """

    input: int = REQUEST
    output: int | None = None
    more_output: int = 0
    choices: int = 1
    audio_input: bool = False
    long_writes: bool = False
    tier: str | None = None
    unbounded: set[str] = field(default_factory=set)


def read(content: object, counter: Counter) -> Ask:
    """What a request may use: of a text, a list of messages or parts, or a mapping of it all."""
    ask = Ask()
    if isinstance(content, Mapping):
        _Reader(ask, counter).request(content)
    else:
        _Reader(ask, counter).content(content)
    return ask


class _Reader:
    def __init__(self, ask: Ask, counter: Counter) -> None:
        self._ask = ask
        self._counter = counter

    def request(self, said: Mapping[str, Any]) -> None:
        ask = self._ask
        nested = [inner for key in _NESTED if isinstance(inner := said.get(key), Mapping)]
        options = {name: value for inner in (*nested, said) for name, value in inner.items()}
        for key in _TEXTS:
            self._texts(key, said.get(key))
        for key in _SCHEMAS:
            if said.get(key):
                ask.input += TOOLS + most_as_json(said[key])
        # The responses API has its schema in `text`, Gemini's in its configuration.
        for schema in (said.get("text"), *(options.get(key) for key in _GEMINI_SCHEMAS)):
            if isinstance(schema, Mapping):
                ask.input += TOOLS + most_as_json(schema)
        self._tools(said.get("tools"))
        ask.unbounded |= {key for key in _UNSEEN if said.get(key)}
        found = [n for key in _MOST if (n := whole(options.get(key))) is not None]
        ask.output = max(found) if found else None
        choices = max([1, *(whole(options.get(key)) or 1 for key in _CHOICES)])
        ask.choices *= choices
        self._thoughts(said.get("thinking"))
        self._prediction(said.get("prediction"))
        tier = said.get("service_tier") or said.get("speed")
        ask.tier = tier if isinstance(tier, str) else None
        if parts.mention_an_hour(said):
            ask.long_writes = True

    def _texts(self, key: str, value: object) -> None:
        if key == "prompt" and isinstance(value, list) and len(value) > 1:
            # Each of several prompts is answered; a list of numbers is one, already tokens.
            if not isinstance(value[0], int):
                self._ask.choices *= len(value)
        elif key == "prompt" and isinstance(value, Mapping):
            self._ask.unbounded.add("a stored prompt")
        self.content(value)

    def content(self, value: object) -> None:
        """A text, tokens, a message, a part, or a list of these."""
        if value is None:
            return
        if isinstance(value, str):
            self._ask.input += PART + self._counter.text(value)
        elif isinstance(value, bool | int | float):
            self._ask.input += 1 if isinstance(value, int) else most_as_json(value)
        elif isinstance(value, list | tuple):
            self._list(value)
        elif isinstance(value, Mapping):
            self._mapping(value)
        elif callable(dump := getattr(value, "model_dump", None)):
            self.content(dump())
        else:
            self._ask.input += most_as_json(value)

    def _list(self, values: "list[object] | tuple[object, ...]") -> None:
        if values and all(type(value) is int for value in values):
            self._ask.input += len(values)
            return
        for value in values:
            self.content(value)

    def _mapping(self, part: Mapping[str, Any]) -> None:
        kind = parts.medium(part)
        if kind is not None:
            self._medium(kind, part)
            return
        if part.get("type") == "item_reference":
            self._ask.unbounded.add("an item that is kept by the provider")
        self._ask.input += MESSAGE if "role" in part else PART
        quoted = part.get("role") in _RESULTS or part.get("type") in _RESULTS
        for key, value in part.items():
            if key in {"text", "content", "parts"} and value is not None:
                if isinstance(value, str):
                    self._ask.input += self._counter.text(value, quoted=quoted)
                else:
                    self.content(value)
            elif key == "output" and isinstance(value, list):
                self.content(value)
            elif key == "audio" and value:
                self._medium("audio", part)
            elif key not in _PLAIN and value is not None:
                self._ask.input += most_as_json({key: value})

    def _medium(self, kind: str, part: Mapping[str, Any]) -> None:
        ask = self._ask
        ask.unbounded.add(f"{kind} input")
        size = parts.data_length(part)
        if kind == "image":
            ask.input += IMAGE
        elif kind == "audio":
            ask.audio_input = True
            ask.input += PART + size // _AUDIO_BYTES if size else FILE
        else:
            # A video has sound, which some providers bill as such.
            ask.audio_input = True
            ask.input += PART + size // _FILE_CHARACTERS if size else FILE

    def _tools(self, tools: object) -> None:
        for tool in tools if isinstance(tools, list | tuple) else ():
            if isinstance(tool, Mapping):
                gemini = "functionDeclarations" in tool or "function_declarations" in tool
                if tool.get("type") not in _OWN_TOOLS or (
                    "type" not in tool and not gemini and "name" not in tool
                ):
                    self._ask.unbounded.add("a tool of the provider")
                    self._ask.input += TOOLS

    def _thoughts(self, thinking: object) -> None:
        """A thinking budget beyond the answer's limit is for several turns; take both."""
        budget = whole(thinking.get("budget_tokens")) if isinstance(thinking, Mapping) else None
        if budget and (self._ask.output is None or budget >= self._ask.output):
            self._ask.more_output += budget * self._ask.choices

    def _prediction(self, prediction: object) -> None:
        """What was predicted and does not come is billed as output, too."""
        if prediction is not None:
            before = self._ask.input
            self.content(prediction)
            self._ask.more_output += (self._ask.input - before) * self._ask.choices


# Results of tools; templates may quote these texts.
_RESULTS = frozenset({"tool", "function", "tool_result", "function_call_output"})
# Keys whose values are no input, or are only names of what a template has anyway.
_PLAIN = frozenset({"role", "type", "cache_control"})
_GEMINI_SCHEMAS = ("responseSchema", "response_schema", "responseJsonSchema")


def whole(value: object) -> int | None:
    """A count that somebody gave: an int, or one as text or float; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        found = int(value)  # type: ignore[call-overload] # that is what is tried
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found >= 0 else None
