"""What the settings are, without their secrets."""

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from worker.settings import Settings

_LOGIN = re.compile(r"(.*)(?:@|%40)")
_SECRET_OPTION = re.compile(r"([?&][^=&]*(?:pass|secret|token)[^=&]*=)[^&]*", re.IGNORECASE)
_HIDDEN = "***"


@dataclass(frozen=True)
class Line:
    """One setting, without secrets. value, default: None where nothing is set.

    given: somebody set it in the environment.
    """

    name: str
    value: str | None
    default: str | None
    given: bool
    description: str


@click.command("check-config")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check_config(*, as_json: bool) -> None:
    """Show every setting, or every mistake in them.

    Settings come from the environment. Passwords in URLs are not shown. Exit code 1, with all
    mistakes together, if anything cannot be used; a variable that looks like a setting and is
    none is only pointed out.

    \b
    Examples:
      spendbeat check-config
      SPENDBEAT_TICK_SECONDS=1 spendbeat check-config --json
    """
    from worker.settings import SettingsError, load  # noqa: PLC0415 - only for this command

    try:
        lines = listed(load())
    except SettingsError as error:
        if not as_json:
            raise
        click.echo(json.dumps({"ok": False, "error": str(error)}, indent=2))
        sys.exit(1)
    unknown = strangers(os.environ, [line.name for line in lines])
    if as_json:
        found = {"ok": True, "settings": [asdict(x) for x in lines], "warnings": unknown}
        click.echo(json.dumps(found, indent=2))
        return
    _show(lines, unknown)


def _show(lines: list[Line], unknown: list[str]) -> None:
    from worker.cli.output import print_table  # noqa: PLC0415 - slow to import

    print_table(
        ["setting", "value", "default", "meaning"],
        [
            (
                line.name + " *" * line.given,
                _none(line) if line.value is None else line.value,
                line.default or "",
                line.description,
            )
            for line in lines
        ],
    )
    click.echo("* set in the environment. No mistakes found.")
    for warning in unknown:
        click.echo(f"Warning: {warning}")


def _none(line: Line) -> str:
    return "(embedded)" if line.name in {"DATABASE_URL", "REDIS_URL"} else "(none)"


def listed(chosen: "Settings") -> list[Line]:
    """Every setting in the order of its definition."""
    lines = []
    for field, info in type(chosen).model_fields.items():
        value = getattr(chosen, field)
        default = info.get_default(call_default_factory=True, validated_data={})
        lines.append(
            Line(
                name=str(info.validation_alias or f"SPENDBEAT_{field.upper()}"),
                value=None if value is None else masked(str(value)),
                default=None if default is None else masked(str(default)),
                given=field in chosen.model_fields_set,
                description=info.description or "",
            )
        )
    return lines


def masked(text: str) -> str:
    """A URL without its password; other text as it is."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        return text
    # The last @ ends the login, also where somebody forgot to encode one in the password.
    login = _LOGIN.match(rest)
    if login:
        user, colon, _ = login[1].partition(":")
        rest = f"{user}{colon}{_HIDDEN if colon else ''}@{rest[login.end() :]}"
    return f"{scheme}://{_SECRET_OPTION.sub(_hide, rest)}"


def _hide(option: re.Match[str]) -> str:
    return option[1] + _HIDDEN


def strangers(environment: Mapping[str, str], known: list[str]) -> list[str]:
    """What to say about variables with our prefix that no setting has."""
    warnings = []
    for name in sorted(environment):
        ours = name.startswith("SPENDBEAT_") and not name.startswith("SPENDBEAT_GATEWAY_")
        if ours and name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            warnings.append(f"{name} is not a setting and has no effect.{hint}")
    return warnings


commands = {"check-config": check_config}
