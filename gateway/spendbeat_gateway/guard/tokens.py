"""How many tokens a text has at most.

Without the model's own tokenizer the bound is bytes: each token of a byte-level BPE, of
SentencePiece with its byte fallback and of WordPiece stands for at least one byte of UTF-8 of what
it was given. Some normalise before (Qwen's NFC, Claude's published one NFKC), which can make text
longer (U+FDFA: 3 bytes, 33 under NFKC), so the longest of the three forms counts.
"""

import json
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tiktoken import Encoding

# Texts beyond this many characters of one request are bounded by bytes: the slowest texts found
# (runs of one character) take 0.2 microseconds a character, so counting ends within 0.2 seconds.
MOST_COUNTED = 1_000_000
# Normalised in steps, so that other threads get their turn. Composing across a cut only shortens.
_STEP = 10_000
_FORMS: tuple[Literal["NFC", "NFKC"], ...] = ("NFC", "NFKC")


def most(text: str) -> int:
    """At least as many tokens as any such tokenizer makes of a text."""
    if text.isascii():
        return len(text)
    sizes = [_size(text)]
    steps = range(0, len(text), _STEP)
    for form in _FORMS:
        if not unicodedata.is_normalized(form, text):
            cut = (text[begin : begin + _STEP] for begin in steps)
            sizes.append(sum(_size(unicodedata.normalize(form, part)) for part in cut))
    return max(sizes)


def _size(text: str) -> int:
    # A lone surrogate is no UTF-8; what a provider puts in its place has three bytes as well.
    return len(text.encode("utf-8", "surrogatepass"))


def most_as_json(value: object) -> int:
    """The same for a value that a provider renders into the prompt, in whatever JSON.

    That may escape all but ASCII and indent: a line break and the spaces after it are at most two
    tokens more for each item than the separators here. Raises TypeError, ValueError or
    RecursionError for what is no JSON.
    """
    said = json.dumps(value, default=_plain)
    items = said.count(",") + said.count("{") + said.count("[")
    return len(said) + 2 * items + 2


def most_quoted(text: str) -> int:
    """The same for a text that may be rendered as a JSON string."""
    return max(most(text), most(json.dumps(text, ensure_ascii=False)))


def _plain(value: object) -> object:
    dump = getattr(value, "model_dump", None)
    return dump() if callable(dump) else str(value)


@dataclass
class Counter:
    """Counts one request's texts, by its model's encoding where there is one."""

    encoding: "Encoding | None" = None
    left: int = MOST_COUNTED
    counted: bool = field(default=False, init=False)

    def text(self, text: str, *, quoted: bool = False) -> int:
        """Tokens of a text, exact or a bound. quoted: it may be rendered as a JSON string."""
        if self.encoding is None or len(text) > self.left:
            return most_quoted(text) if quoted else most(text)
        self.left -= len(text)
        self.counted = True
        # Special tokens as the ordinary text that they are in what people write: never fewer.
        return len(self.encoding.encode_ordinary(text))

    @property
    def how(self) -> str:
        return self.encoding.name if self.encoding is not None and self.counted else "bytes"
