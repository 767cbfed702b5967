"""Recorders for tests: a spool of their own, a receiver, and nothing left behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spendbeat_gateway import Recorder

CHAT = {
    "model": "gpt-4o-mini-2024-07-18",
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "prompt_tokens_details": {"cached_tokens": 600},
    },
}


def response(number: int, **fields: Any) -> dict[str, Any]:
    """A chat completion with an id of its own."""
    return {"id": f"chatcmpl-{number:032d}", **CHAT, **fields}


@contextmanager
def recorder(folder: Path, url: str | None = None, **options: Any) -> Iterator[Recorder]:
    made = Recorder(url=url or "http://127.0.0.1:9", spool=folder, **options)
    try:
        yield made
    finally:
        made.close(0.1)
