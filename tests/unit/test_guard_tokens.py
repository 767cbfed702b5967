"""No real tokenizer makes more tokens of a text than the bound says, and none is downloaded."""

import base64
import json
import os
import random
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spendbeat_gateway.guard import asking, encodings
from spendbeat_gateway.guard.tokens import Counter, most, most_as_json, most_quoted
from tiktoken import Encoding

from tests.support import litellm, tokenizers
from tests.support.programs import ROOT
from tests.support.waiting import wait_for

NAMES = ("o200k_base", "cl100k_base", "p50k_base", "o200k_harmony")
ARABIC_SENTENCE = "\ufdfa"  # one character of three bytes; 18 characters under NFKC


def adversarial() -> Iterator[str]:
    chance = random.Random(5)
    yield from ("", " ", "a", "\x00", "\u200b", "\ufeff", "<|endoftext|>", "<META>\n\nHuman:")
    yield ARABIC_SENTENCE * 50
    yield "\U0001d1c0" * 50  # three times as long under NFC
    yield "½⑩㌖ﬃ㍿" * 30
    yield base64.b64encode(chance.randbytes(3000)).decode()
    yield "".join(map(chr, chance.choices(range(0x20, 0xD7FF), k=2000)))
    yield "".join(map(chr, chance.choices(range(0x10000, 0x10FFFF), k=500)))
    yield "".join(map(chr, range(0x300)))
    yield "👩‍👩‍👧‍👦🏳️‍🌈👍🏿" * 40
    yield "e\u0301\u0323" * 200
    yield "\u1100\u1161\u11a8" * 200  # letters of which Hangul syllables are composed
    yield "क़ख़ग़" * 100
    for run in ("a", " ", "\n", "\t", "!", "0", "=", "aA", "\r\n", "\u3000", "﷽", "\U000e0041"):
        yield run * 700
    yield Path(json.__file__).read_text(encoding="utf-8")
    yield (ROOT / "docs" / "pricing.md").read_text(encoding="utf-8")
    yield json.dumps([{"id": n, "name": "x" * n} for n in range(60)], indent=4)


# What separates tokens in odd ways comes more often than in any text of people.
ODD = st.sampled_from(
    [ARABIC_SENTENCE, "\U0001d1c0", "½", " ", "\n", "'s", "\u0301", "\u200d", "1"]
)
TEXTS = st.one_of(st.text(max_size=80), st.lists(st.one_of(ODD, st.characters())).map("".join))


@pytest.fixture(scope="module", autouse=True)
def _files() -> Iterator[None]:
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(tokenizers.folder())
    yield
    if before is None:
        del os.environ["TIKTOKEN_CACHE_DIR"]
    else:
        os.environ["TIKTOKEN_CACHE_DIR"] = before


@pytest.fixture(scope="module")
def openai() -> list[Encoding]:
    found = [encodings.load(name) for name in NAMES]
    return [encoding for encoding in found if encoding is not None]


@pytest.fixture(scope="module")
def claude() -> Iterator[tokenizers.Claude]:
    with tokenizers.claude() as running:
        yield running


def test_adversarial_texts_are_within_the_bound(
    openai: list[Encoding], claude: tokenizers.Claude
) -> None:
    assert [encoding.name for encoding in openai] == list(NAMES)
    for text in adversarial():
        real = [len(encoding.encode_ordinary(text)) for encoding in openai]
        assert max(*real, claude.count(text)) <= most(text), text[:20]


@settings(max_examples=300, deadline=None)
@given(TEXTS.filter(lambda text: text.isascii() or not any("\ud800" <= c < "\ue000" for c in text)))
def test_any_text_is_within_the_bound(
    openai: list[Encoding], claude: tokenizers.Claude, text: str
) -> None:
    real = [len(encoding.encode_ordinary(text)) for encoding in openai]
    assert max(*real, claude.count(text)) <= most(text)


def test_bytes_alone_would_not_be_a_bound(claude: tokenizers.Claude) -> None:
    """The control: a tokenizer that normalises makes more tokens than the text has bytes."""
    assert claude.count(ARABIC_SENTENCE) > len(ARABIC_SENTENCE.encode())


def test_composing_shortens() -> None:
    """So no text is longer in a composed form than the sum of its pieces, wherever it is cut."""
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        apart = unicodedata.normalize("NFD", character)
        if apart != character and unicodedata.normalize("NFC", apart) == character:
            assert len(character.encode()) <= len(apart.encode()), hex(code)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-9, 10**6), st.text(max_size=12)),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(max_size=6), inner)),
        max_leaves=30,
    )
)
def test_json_is_within_its_bound_however_it_is_written(
    openai: list[Encoding], claude: tokenizers.Claude, value: object
) -> None:
    for indent in (None, 1, 4):
        for ascii_only in (True, False):
            text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
            clean = text.encode("utf-8", "replace").decode()
            real = [len(encoding.encode_ordinary(clean)) for encoding in openai]
            assert max(*real, claude.count(clean)) <= most_as_json(value)


def test_a_quoted_text_is_within_its_bound(openai: list[Encoding]) -> None:
    for text in adversarial():
        quoted = json.dumps(text, ensure_ascii=False)
        real = [len(encoding.encode_ordinary(quoted)) for encoding in openai]
        assert max(real) <= most_quoted(text)


@pytest.mark.parametrize("lone", ["\ud800", "a\udfffb", "\udc00\ud800"])
def test_a_lone_surrogate_counts_and_breaks_nothing(lone: str, openai: list[Encoding]) -> None:
    assert most(lone) >= len(lone)
    assert Counter(openai[0]).text(lone) > 0
    assert most_as_json({lone: lone}) > 0


def test_a_known_model_is_counted_exactly_and_a_huge_text_by_bytes(openai: list[Encoding]) -> None:
    counter = Counter(openai[0], left=100)
    assert counter.text("hello world, hello world") == 5
    assert counter.how == "o200k_base"
    assert counter.text("hello " * 100) == 600


@pytest.mark.parametrize(
    ("provider", "model", "name"),
    [
        ("openai", "gpt-4o-mini", "o200k_base"),
        ("azure", "gpt-4o-2024-08-06", "o200k_base"),
        ("openai", "gpt-3.5-turbo", "cl100k_base"),
        ("openai", "some-new-model", None),
        ("anthropic", "claude-sonnet-4-5", None),
        # Served by somebody else under a name of OpenAI's, it may be anything.
        ("made-up", "gpt-4o", None),
    ],
)
def test_only_openais_own_models_have_an_encoding(
    provider: str, model: str, name: str | None
) -> None:
    assert encodings.name_of(provider, model) == name


def test_an_encoding_is_loaded_beside_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "_loaded", {})
    monkeypatch.setattr(encodings, "_begun", set())
    assert encodings.encoding_of("openai", "gpt-4o") is None
    wait_for(lambda: encodings.encoding_of("openai", "gpt-4o") is not None, "the encoding")


def test_without_tiktoken_bytes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tiktoken"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert encodings.name_of("openai", "gpt-4o") is None
    assert encodings.encoding_of("openai", "gpt-4o") is None
    assert encodings.load("r50k_base") is None


CALLED = [
    {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function":
        {"name": "f", "arguments": '{"city": "Köln"}'}}]},
    {"role": "tool", "tool_call_id": "c1", "content": '{"t": 3}'},
]  # fmt: skip
CITY = {"type": "string", "description": "The city", "enum": ["a", "b"]}
TOOL = {"name": "look", "parameters": {"type": "object", "properties": {"city": CITY}}}


def test_what_litellm_counts_in_a_request_is_within_the_bound(openai: list[Encoding]) -> None:
    """It knows how OpenAI counts messages and renders tools."""
    requests = [
        {"model": model, "messages": messages, "tools": tools}
        for model in ("gpt-4o", "gpt-3.5-turbo")
        for messages in ([{"role": "user", "content": "a"}] * 50, CALLED)
        for tools in (None, [{"type": "function", "function": TOOL}] * 20)
    ]
    program = str(litellm.PROGRAMS / "count_requests.py")
    done = subprocess.run(
        [litellm.python(), program], input=json.dumps(requests), capture_output=True, text=True,
        check=True, env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )  # fmt: skip
    for request, real in zip(requests, json.loads(done.stdout.splitlines()[-1]), strict=True):
        encoding = openai[0] if request["model"] == "gpt-4o" else openai[1]
        assert 0 < real <= asking.read(request, Counter(encoding)).input
        assert real <= asking.read(request, Counter()).input


WITHOUT_FILES = """
import sys
sys.addaudithook(lambda name, _: print(name) if name.startswith("socket.") else None)
from spendbeat_gateway.guard import encodings
assert encodings.name_of("openai", "gpt-4o") == "o200k_base"
assert all(encodings.load(name) is None for name in ("o200k_base", "o200k_harmony", "gpt2", "nope"))
"""


def test_nothing_is_ever_fetched(tmp_path: Path) -> None:
    """Where the files are missing, or are not what they should be, there is no encoding."""
    files = tmp_path / "files"
    files.mkdir()
    for file in tokenizers.folder().glob("[0-9a-f]*[0-9a-f]"):
        (files / file.name).write_bytes(file.read_bytes()[:1000])
    for folder in (tmp_path, files):
        environment = {**os.environ, "TIKTOKEN_CACHE_DIR": str(folder)}
        command = [sys.executable, "-c", WITHOUT_FILES]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert len(list(files.iterdir())) == 3
