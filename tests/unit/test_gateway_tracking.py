"""A decorated or wrapped call is recorded once, with what it used, and behaves as before."""

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest
from spendbeat_gateway import Recorder

from tests.support.gateway import CHAT, recorder, response
from tests.support.receiver import Receiver
from tests.support.waiting import wait_for

ANTHROPIC = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_0123456789abcdefghijkl",
            "model": "claude-sonnet-4-5",
            "usage": {
                "input_tokens": 10,
                "cache_read_input_tokens": 90,
                "cache_creation_input_tokens": 0,
                "output_tokens": 1,
                "service_tier": "priority",
            },
        },
    },
    {"type": "content_block_delta", "delta": {"text": "hello"}},
    {"type": "message_delta", "usage": {"output_tokens": 77}},
    {"type": "message_stop"},
]
CHUNKS = [
    {"id": response(1)["id"], "model": "gpt-4o", "choices": [{}], "usage": None},
    {"id": response(1)["id"], "model": "gpt-4o", "choices": [], "usage": CHAT["usage"]},
]
RESPONSES = [
    {"type": "response.created", "response": {"id": "resp_0123456789abcdefghijkl", "model": "o3"}},
    {"type": "response.output_text.delta", "delta": "hello"},
    {
        "type": "response.completed",
        "response": {
            "id": "resp_0123456789abcdefghijkl",
            "model": "o3",
            "usage": {"input_tokens": 5, "output_tokens": 6},
        },
    },
]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().up() as running:
        yield running


@pytest.fixture
def spendbeat(tmp_path: Path, receiver: Receiver) -> Iterator[Recorder]:
    with recorder(tmp_path, receiver.url) as made:
        yield made


def only(spendbeat: Recorder, receiver: Receiver) -> dict[str, Any]:
    """The one event that was recorded."""
    assert spendbeat.flush()
    (event,) = receiver.events.values()
    return event


def test_a_function(spendbeat: Recorder, receiver: Receiver) -> None:
    @spendbeat.track(provider="openai", model="gpt-4o-mini", team="core")
    def ask(question: str) -> dict[str, Any]:
        return response(1, question=question)

    assert ask("why")["question"] == "why"
    event = only(spendbeat, receiver)
    assert (event["model"], event["team"], event["cache_read_tokens"]) == (
        "gpt-4o-mini",
        "core",
        600,
    )


def test_a_coroutine_stays_one(spendbeat: Recorder, receiver: Receiver) -> None:
    @spendbeat.track(provider="openai")
    async def ask() -> dict[str, Any]:
        await asyncio.sleep(0)
        return response(1)

    assert inspect.iscoroutinefunction(ask)
    assert asyncio.run(ask()) == response(1)
    assert only(spendbeat, receiver)["input_tokens"] == 1000


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        (CHUNKS, {"id": response(1)["id"], "model": "gpt-4o", "input_tokens": 1000}),
        (
            ANTHROPIC,
            {
                "id": "msg_0123456789abcdefghijkl",
                "input_tokens": 100,
                "cache_read_tokens": 90,
                "output_tokens": 77,
                "service_tier": "priority",
            },
        ),
        (RESPONSES, {"id": "resp_0123456789abcdefghijkl", "input_tokens": 5, "output_tokens": 6}),
    ],
    ids=["chat", "anthropic", "responses"],
)
@pytest.mark.parametrize("kind", ["generator", "async generator", "returned", "async returned"])
def test_a_stream_is_recorded_at_its_end(
    spendbeat: Recorder, receiver: Receiver, chunks: list[Any], wanted: dict[str, Any], kind: str
) -> None:
    track = spendbeat.track(provider="any")

    @track
    def generator() -> Iterator[Any]:
        yield from chunks

    @track
    async def async_generator() -> AsyncIterator[Any]:
        for chunk in chunks:
            yield chunk

    @track
    def returned() -> Any:
        return (chunk for chunk in chunks)

    @track
    async def async_returned() -> Any:
        return async_generator.__wrapped__()  # type: ignore[attr-defined] # the plain one

    async def read() -> list[Any]:
        stream = await async_returned() if kind == "async returned" else async_generator()
        return [chunk async for chunk in stream]

    if kind.startswith("async"):
        assert asyncio.run(read()) == chunks
    else:
        assert list(generator() if kind == "generator" else returned()) == chunks
    event = only(spendbeat, receiver)
    assert {name: event.get(name) for name in wanted} == wanted


class LibraryStream:
    """Like a stream of the providers' libraries: iterator, context manager, attributes."""

    def __init__(self) -> None:
        self.chunks = iter(ANTHROPIC)
        self.status = "open"

    def __iter__(self) -> "LibraryStream":
        return self

    def __next__(self) -> Any:
        return next(self.chunks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.status = "closed"


def test_a_librarys_stream_keeps_what_it_offers(spendbeat: Recorder, receiver: Receiver) -> None:
    ask = spendbeat.track(provider="anthropic")(LibraryStream)
    with ask() as stream:
        assert stream.status == "open"
        assert list(stream) == ANTHROPIC
    assert stream.status == "closed"
    assert only(spendbeat, receiver)["output_tokens"] == 77


@pytest.mark.parametrize("how", ["closed", "forgotten"])
def test_a_stream_that_nobody_reads_on_counts_what_was_said(
    spendbeat: Recorder, receiver: Receiver, how: str
) -> None:
    """Anthropic says at once what the prompt was; that has been used."""

    @spendbeat.track(provider="anthropic")
    def ask() -> Any:
        yield from ANTHROPIC

    stream = ask()
    next(stream)
    if how == "closed":
        stream.close()
    del stream
    gc.collect()
    wait_for(lambda: spendbeat.stats().waiting or receiver.events, "the event of the stream")
    event = only(spendbeat, receiver)
    assert (event["input_tokens"], event["output_tokens"]) == (100, 1)


def test_a_call_that_does_not_say_what_it_used_is_sent_without_tokens(
    spendbeat: Recorder, receiver: Receiver
) -> None:
    """Zero tokens would be a cost of zero, which is a lie."""
    assert spendbeat.record({"id": "x" * 30, "model": "gpt-4o"}, provider="openai") == "x" * 30
    sent = only(spendbeat, receiver)
    assert [name for name in sent if name.endswith(("_tokens", "_usd"))] == []
    assert spendbeat.stats().unmeasured == 1


@pytest.mark.parametrize("kind", ["function", "coroutine", "generator", "block", "async block"])
def test_an_exception_is_a_failure_and_goes_on_its_way(
    spendbeat: Recorder, receiver: Receiver, kind: str
) -> None:
    track = spendbeat.track(provider="openai")

    @track
    def function(**options: object) -> None:
        raise TimeoutError(str(options))

    @track
    async def coroutine(**options: object) -> None:
        raise TimeoutError(str(options))

    @track
    def generator(**options: object) -> Iterator[None]:
        yield None
        raise TimeoutError(str(options))

    def block(**options: object) -> None:
        with spendbeat.call(provider="openai", **options):
            raise TimeoutError(str(options))

    async def async_block(**options: object) -> None:
        async with spendbeat.call(provider="openai", **options):
            raise TimeoutError(str(options))

    calls = {
        "function": lambda: function(model="gpt-4o"),
        "coroutine": lambda: asyncio.run(coroutine(model="gpt-4o")),
        "generator": lambda: list(generator(model="gpt-4o")),
        "block": lambda: block(model="gpt-4o"),
        "async block": lambda: asyncio.run(async_block(model="gpt-4o")),
    }
    with pytest.raises(TimeoutError, match="gpt-4o"):
        calls[kind]()
    event = only(spendbeat, receiver)
    assert (event["status"], event["model"], event["input_tokens"]) == ("failure", "gpt-4o", 0)


def test_a_block_takes_a_response_or_its_usage(spendbeat: Recorder, receiver: Receiver) -> None:
    with spendbeat.call(provider="openai", project="a") as first:
        first.see(response(1))
    with spendbeat.call(provider="openai", model="gpt-4o") as second:
        second.add(usage=CHAT["usage"], session_id="s")
    assert spendbeat.flush()
    assert first.id == response(1)["id"]
    assert receiver.events[str(first.id)]["project"] == "a"
    assert receiver.events[str(second.id)]["session_id"] == "s"


@pytest.mark.parametrize(
    "thing",
    [7, "text", object(), [], {"usage": 7}, {"usage": {"prompt_tokens": float("nan")}}],
    ids=type,
)
def test_nothing_that_a_call_returns_makes_it_fail(spendbeat: Recorder, thing: object) -> None:
    ask = spendbeat.track(provider="openai")(lambda: thing)
    assert ask() is thing


def test_fields_that_make_no_sense_cost_no_call(spendbeat: Recorder, receiver: Receiver) -> None:
    circle: dict[str, object] = {}
    circle["circle"] = circle
    fields: dict[str, object] = {"nonsense": 1, "cost_usd": float("nan"), "tags": circle}
    assert spendbeat.record(response(1), provider="openai", **fields)
    with suppress(AttributeError):
        spendbeat.record(response(2), provider=None)
    assert spendbeat.flush()
    assert receiver.ids == {response(1)["id"], response(2)["id"]}
