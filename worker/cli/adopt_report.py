"""What an adoption tells, for people and for programs."""

from dataclasses import asdict
from decimal import Decimal

import click

from spend.amounts import dollars
from spend.capture.adopt.books import Balance, Sums
from spend.capture.adopt.rows import Tally
from spend.capture.adopt.run import Adopted
from spend.capture.adopt.shape import Table
from spend.capture.mapping import Columns
from worker.cli.output import print_table


def as_dict(
    table: Table, columns: Columns, adopted: Adopted, rejects: str | None
) -> dict[str, object]:
    """Everything, with money as text."""
    balance = adopted.balance
    return {
        "table": str(table),
        "dry_run": balance is None,
        **asdict(adopted.summary),
        "ignored_columns": list(columns.ignored),
        "left_out": adopted.reasons,
        "rejects_file": rejects,
        "table_rows": adopted.read.rows,
        "table_cost": _plain(adopted.read.exact),
        "table_without_cost": adopted.read.unpriced,
        "rounded_rows": adopted.read.rounded,
        "old_spend_summary": None if adopted.said is None else _plain(adopted.said),
        "balance": None if balance is None else _balance(balance),
    }


def _balance(balance: Balance) -> dict[str, object]:
    return {
        "agrees": balance.agrees,
        **{
            name: {
                key: _plain(value) if isinstance(value, Decimal) else value
                for key, value in asdict(part).items()
            }
            for name, part in (
                ("table", balance.table),
                ("booked", balance.booked),
                ("left_out", balance.left_out),
            )
        },
        "rounded_rows": balance.rounded,
        "rounding": _plain(balance.rounding),
        "missing_rows": balance.missing_rows,
        "missing_cost": _plain(balance.missing_cost),
    }


def report(table: Table, columns: Columns, adopted: Adopted, rejects: str | None) -> None:
    """Print it for people."""
    summary = adopted.summary
    verb = "would be booked unless known" if adopted.balance is None else "booked"
    rate = f", {summary.read / summary.seconds:,.0f} rows/s" if summary.seconds else ""
    click.echo(
        f"{table}: {summary.imported:,} {verb}, {summary.known:,} already known,"
        f" {summary.conflicts:,} conflicts, {summary.rejected:,} rejected,"
        f" {summary.unpriced:,} unpriced  ({summary.seconds:.1f} s{rate})"
    )
    if columns.ignored:
        click.echo(f"Columns that are no field, and stay behind: {', '.join(columns.ignored)}")
    for reason, times in sorted(adopted.reasons.items(), key=lambda item: -item[1]):
        click.echo(f"Left out, {times:,} times: {reason}")
    if rejects:
        click.echo(f"Rows that were left out: {rejects}")
    if adopted.balance is None:
        _print_read(table, adopted.read)
    else:
        _print_balance(table, adopted.balance)
    if adopted.said is not None and adopted.said != adopted.read.exact:
        click.echo(
            f"The old spend_summary says ${dollars(adopted.said)}, which is not what its rows add"
            f" up to, ${dollars(adopted.read.exact)}. The rows count."
        )


def _print_read(table: Table, read: Tally) -> None:
    click.echo(
        f"{table} has {read.rows:,} rows, ${dollars(read.exact)}, {read.unpriced:,} without a cost."
    )
    if read.rounded:
        click.echo(f"{read.rounded:,} costs have more than twelve places and would be rounded.")


def _print_balance(table: Table, balance: Balance) -> None:
    booked = balance.booked
    lines: list[tuple[str, Sums | None, Decimal]] = [
        (str(table), balance.table, balance.table.cost),
        ("booked", booked, booked.cost),
    ]
    if balance.left_out.rows:
        lines.append(("left out", balance.left_out, balance.left_out.cost))
    print_table(
        ["", "rows", "without a cost", "cost $"],
        [
            (
                name,
                f"{sums.rows:,}" if sums else "",
                f"{sums.unpriced:,}" if sums else "",
                dollars(cost),
            )
            for name, sums, cost in lines
        ],
        numbers=["rows", "without a cost", "cost $"],
    )
    if booked.priced_rows:
        click.echo(
            f"{booked.priced_rows:,} of the booked had tokens and no cost and were priced:"
            f" ${dollars(booked.priced_cost)}."
        )
    if balance.rounded:
        click.echo(
            f"{balance.rounded:,} costs had more than twelve places and were rounded, together by"
            f" ${_plain(balance.rounding)}."
        )
    if balance.agrees:
        click.echo("Every row is accounted for, to the last digit.")
    else:
        click.echo(
            f"Not accounted for: {balance.missing_rows:,} rows, ${_plain(balance.missing_cost)}."
            " Rows that were deleted from the table since they were booked, or months that were"
            " sealed, look like this."
        )


def _plain(amount: Decimal) -> str:
    """Every digit that counts, whatever its sign."""
    text = f"{amount:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
