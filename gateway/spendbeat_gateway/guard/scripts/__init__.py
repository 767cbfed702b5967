"""The scripts, which run in Redis: each is common.lua and one file."""

from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import NamedTuple


class Script(NamedTuple):
    text: str
    sha: str


@cache
def script(name: str) -> Script:
    folder = files(__name__)
    text = "\n".join(
        (folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("common", name)
    )
    return Script(text, sha1(text.encode()).hexdigest())  # noqa: S324 - Redis names scripts so
