from datetime import UTC, date, datetime

import click

from spend import sealing
from spend.errors import BadInputError
from worker.cli.adopt import adopt
from worker.database import transaction


@click.group
def ledger() -> None:
    """Look after the ledger: take over an existing table, drop old months."""


@ledger.command
@click.argument("month")
@click.option("--yes", is_flag=True, help="Do not ask.")
def seal(month: str, *, yes: bool) -> None:
    """Drop the ledger rows of MONTH (YYYY-MM); every total stays as it is.

    The month's sums are kept first, in the same transaction, and only if every row has been
    counted and every bucket agrees with the ledger. What is lost is the single requests of that
    month. Rows that arrive late for it are still counted, and a request that was in it is still
    known, so it cannot be counted twice.

    \b
    Example:
      spendbeat ledger seal 2025-01
    """
    try:
        first = date.fromisoformat(f"{month}-01")
    except ValueError:
        raise BadInputError(f"{month!r} is not a month such as 2025-01.") from None
    if not yes:
        click.confirm(f"Drop the single requests of {month}? Totals stay.", abort=True)
    with transaction("spendbeat_owner") as session:
        result = sealing.seal(session, first, datetime.now(UTC))
    click.echo(f"{month}: sums kept, {result.rows:,} ledger rows dropped.")


ledger.add_command(adopt)
commands = {"ledger": ledger}
