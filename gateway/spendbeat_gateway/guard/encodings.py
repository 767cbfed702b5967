"""OpenAI's encodings through tiktoken (the extra `tokens`), from files that are here already.

tiktoken fetches an encoding over the network when it does not find its file. Nothing here ever
does that: an encoding is read from the folder that TIKTOKEN_CACHE_DIR names or from the one that
LiteLLM ships, in a thread of its own, and until it is there, or where there is no file, callers
get None and use a bound instead.
"""

import base64
import hashlib
import importlib.util
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from spendbeat_gateway.faults import guarded

if TYPE_CHECKING:
    from tiktoken import Encoding

# Whose models tiktoken's names are. Another provider's model of the same name may be another one.
_PROVIDERS = frozenset({"azure", "openai", "text-completion-openai"})
_loaded: dict[str, "Encoding | None"] = {}
_begun: set[tuple[int, str]] = set()  # with the process: a fork has none of the threads


def encoding_of(provider: str, model: str) -> "Encoding | None":
    """The encoding of a model; None where there is none, or while it is being loaded."""
    name = name_of(provider, model)
    if name is None:
        return None
    if name in _loaded:
        return _loaded[name]
    started = os.getpid(), name
    if started not in _begun:
        _begun.add(started)
        threading.Thread(target=load, args=(name,), name="spendbeat-encoding", daemon=True).start()
    return None


def name_of(provider: str, model: str) -> str | None:
    """Which encoding counts a model's tokens; None where that is not known."""
    if provider.lower() not in _PROVIDERS:
        return None
    try:
        from tiktoken.model import encoding_name_for_model  # noqa: PLC0415 - an extra

        return encoding_name_for_model(model)
    except (ImportError, KeyError):
        return None


def load(name: str) -> "Encoding | None":
    """Read an encoding now, which takes about a third of a second; None where that fails."""
    found: Encoding | None = _load(name)
    _loaded[name] = found
    return found


@guarded(None)
def _load(name: str) -> "Encoding | None":
    from tiktoken import Encoding, registry  # noqa: PLC0415 - an extra

    known = registry.ENCODINGS.get(name)
    if known is not None:
        return known
    from tiktoken_ext import (  # type: ignore[import-untyped] # noqa: PLC0415 - likewise, no types
        openai_public,
    )

    make = _without_network(openai_public).get(name)
    try:
        return Encoding(**make()) if make is not None else None
    except FileNotFoundError:
        return None


def _without_network(module: ModuleType) -> "dict[str, Callable[[], dict[str, Any]]]":
    """The constructors of a module, with readers that have no network to fall back to.

    The functions are made anew over other globals; the module itself stays as it is.
    """
    names = dict(vars(module))
    for name, value in vars(module).items():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            names[name] = FunctionType(value.__code__, names, name, value.__defaults__)
        elif isinstance(value, FunctionType):
            names[name] = _ranks if name == "load_tiktoken_bpe" else _absent
    return {name: names[make.__name__] for name, make in module.ENCODING_CONSTRUCTORS.items()}


def _absent(*_: object, **__: object) -> None:
    raise FileNotFoundError


def _ranks(url: str, expected_hash: str | None = None) -> dict[bytes, int]:
    """The tokens of an encoding and their ranks. Raises FileNotFoundError."""
    key = hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()  # as tiktoken names them
    for folder in _folders():
        try:
            content = (folder / key).read_bytes()
        except OSError:
            continue
        if expected_hash is None or hashlib.sha256(content).hexdigest() == expected_hash:
            pairs = (line.split() for line in content.splitlines() if line)
            return {base64.b64decode(token): int(rank) for token, rank in pairs}
    raise FileNotFoundError(url)


def _folders() -> list[Path]:
    found = [Path(said)] if (said := os.environ.get("TIKTOKEN_CACHE_DIR")) else []
    litellm = importlib.util.find_spec("litellm")  # does not import it
    if litellm is not None and litellm.origin:
        found.append(Path(litellm.origin).parent / "litellm_core_utils" / "tokenizers")
    return found
