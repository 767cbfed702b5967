import sys
from importlib import import_module

import click
from sqlalchemy.exc import OperationalError, ProgrammingError

from spend.errors import SpendbeatError

# A module has its commands in a dictionary `commands`; importing it only when it is asked for
# keeps every other command quick.
_COMMANDS = {
    "alerts": "worker.cli.alerts",
    "attribution": "worker.cli.attribution",
    "budgets": "worker.cli.budgets",
    "channels": "worker.cli.channels",
    "check-config": "worker.cli.config",
    "conflicts": "worker.cli.inbox",
    "deliveries": "worker.cli.deliveries",
    "demo": "worker.cli.demo",
    "events": "worker.cli.events",
    "exporter": "worker.cli.exporter",
    "generate": "worker.cli.generate",
    "guard": "worker.cli.guard",
    "import": "worker.cli.capture",
    "inbox": "worker.cli.inbox",
    "ledger": "worker.cli.ledger",
    "litellm": "worker.cli.litellm",
    "migrate": "worker.cli.migrate",
    "prices": "worker.cli.prices",
    "rates": "worker.cli.rates",
    "reprice": "worker.cli.reprice",
    "requests": "worker.cli.requests",
    "rollups": "worker.cli.rollups",
    "secrets": "worker.cli.secrets",
    "servers": "worker.cli.up",
    "spend": "worker.cli.spend",
    "tokens": "worker.cli.tokens",
    "up": "worker.cli.up",
    "verify": "worker.cli.verify",
    "web": "worker.cli.web",
}
# Postgres' codes for a table, column or function that is not there.
_NOT_MIGRATED = {"42P01", "42703", "42883"}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = import_module(module).commands[cmd_name]
        return command


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="spendbeat")
def cli() -> None:
    """LLM spend that is known, proved and kept within budget."""


def main() -> None:
    """Run the command line; a user's mistake is one message and exit code 1."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except SpendbeatError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except OperationalError as error:
        from worker.database import unreachable  # noqa: PLC0415 - reads the settings

        click.echo(f"Error: {unreachable(error)}", err=True)
        sys.exit(1)
    except ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) not in _NOT_MIGRATED:
            raise
        click.echo("Error: This database has no ledger yet, or one of an older version.", err=True)
        click.echo("Run 'spendbeat migrate'.", err=True)
        sys.exit(1)
