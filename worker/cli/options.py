"""What several commands read from their options."""

from collections.abc import Sequence

import click


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """NAME=VALUE, given several times. Raises BadParameter, which names the option."""
    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name or not value:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint=option)
        if name in found:
            raise click.BadParameter(f"{name} is there twice", param_hint=option)
        found[name] = value
    return found
