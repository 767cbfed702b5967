import sys
from dataclasses import asdict

import click

from spend import audit
from spend.audit import AuditResult
from worker.cli.output import print_json, print_table, total
from worker.database import transaction


@click.command
@click.option("--provider", help="Audit one shard only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(provider: str | None, *, as_json: bool) -> None:
    """Prove that raw rows and rollups agree, to the last digit.

    Compares the ledger, as far as each shard has counted it, with the buckets, the days and the
    all-time totals: requests, every token class, unpriced rows and dollars; and what each budget
    has spent in each period with its buckets. It may run at any
    moment, while writers write. Exit code 1 if anything differs.

    \b
    Examples:
      spendbeat verify
      spendbeat verify --provider openai --json
    """
    with transaction() as session:
        result = audit.verify(session, provider)
        if provider is None:
            audit.record(session, result)
    if as_json:
        print_json({**asdict(result), "agrees": result.agrees})
    else:
        show(result)
    sys.exit(0 if result.agrees else 1)


def show(result: AuditResult) -> None:
    """Print an audit for a person."""
    if result.agrees:
        budgets = f" {result.budgets:,} budgets," if result.budgets else ""
        click.echo(
            f"Audit: raw rows = rollups, difference 0"
            f" ({result.rows:,} rows, {result.shards} shards,{budgets}"
            f" {total(result.total_cost, result.unpriced)})"
        )
        return
    click.echo(f"Audit: rollups DIFFER from the ledger in {len(result.mismatches)} figures:")
    print_table(
        ["table", "provider", "model", "figure", "ledger says", "table says"],
        [tuple(asdict(m).values()) for m in result.mismatches[:50]],
        numbers=["ledger says", "table says"],
    )
    click.echo("Repair with 'spendbeat rollups rebuild'; it records what differed.")


commands = {"verify": verify}
