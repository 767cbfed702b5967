"""A price list as a file: which format it is, and all that it says."""

import json
from collections.abc import Mapping
from pathlib import Path

from spend.errors import BadInputError
from spend.pricing.lists import litellm, table
from spend.pricing.lists.entries import Entry, Skipped


def read(path: Path) -> tuple[list[Entry], list[Skipped]]:
    """Prices and what cannot be one. Raises BadInputError for a file that is no price list."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInputError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise BadInputError(f"{path} is not text in UTF-8.") from None
    if content.lstrip().startswith("{"):
        found = _map(path, content)
    else:
        found = list(table.entries(content.splitlines()))
    entries = [one for one in found if isinstance(one, Entry)]
    return entries, [one for one in found if isinstance(one, Skipped)]


def _map(path: Path, content: str) -> list[Entry | Skipped]:
    try:
        said = json.loads(content)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInputError(f"{path} is no JSON: {error}.") from None
    found: dict[tuple[str, str], Entry | Skipped] = {}
    for name, entry in said.items():
        if not isinstance(entry, Mapping):
            found[name, ""] = Skipped(name, "is no entry with keys")
            continue
        price = litellm.entry(name, entry)
        key = _key(price)
        # "deepseek/deepseek-chat" beside "deepseek-chat": LiteLLM asks for the longer name first.
        if key in found and not name.startswith(f"{key[0]}/"):
            price, key = Skipped(name, "is there twice, also with its provider's name"), (name, "")
        elif key in found:
            found[name, ""] = Skipped(key[1], "is there twice, also with its provider's name")
        found[key] = price
    return list(found.values())


def _key(price: Entry | Skipped) -> tuple[str, str]:
    if isinstance(price, Skipped):
        return price.name, ""
    return price.provider.lower(), price.model.lower()
