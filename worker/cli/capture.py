import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from spend.capture.files import FORMATS, Format, Opened, opened
from spend.capture.pipeline import BATCH_ROWS, import_source
from spend.capture.rejects import Rejects
from spend.capture.summary import ImportSummary
from spend.capture.trial import try_source
from spend.errors import BadInputError
from worker.cli.options import pairs
from worker.cli.progress import progress
from worker.database import engine


@click.command("import")
@click.argument("file")
@click.option("--map", "maps", multiple=True, metavar="FIELD=COLUMN", help="Where a field is.")
@click.option("--set", "sets", multiple=True, metavar="FIELD=VALUE", help="The same in all rows.")
@click.option("--timezone", metavar="ZONE", help="Of times without an offset, such as UTC.")
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), help="Default: what it looks like."
)
@click.option("--delimiter", metavar="CHAR", help="Of CSV columns. Default: what it looks like.")
@click.option("--rejects", metavar="PATH", help="Default: FILE.rejects.csv beside the file.")
@click.option("--batch", default=BATCH_ROWS, show_default=True, help="Rows per transaction.")
@click.option("--dry-run", is_flag=True, help="Read and price everything, book nothing.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON on standard output.")
def import_(
    file: str,
    *,
    maps: Sequence[str],
    sets: Sequence[str],
    timezone: str | None,
    format_: Format | None,
    delimiter: str | None,
    rejects: str | None,
    batch: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Book the requests in FILE: CSV, JSON lines or Parquet, also gzipped; - is standard input.

    Columns named as a field are found by themselves. Needed are started_at, provider and model,
    and tokens or a cost. Importing a file again books nothing twice: a request is known by its
    id, or else by all that it says and how many equal ones stood before it in the file.

    \b
    Fields: id, started_at, provider, model, input_tokens, output_tokens, cache_read_tokens,
      cache_write_tokens, cache_write_1h_tokens, reasoning_tokens, audio_input_tokens,
      audio_output_tokens, cost_usd, status, trace_id, session_id, end_user, organization,
      project, sprint, agent, user_id (or user), team, api_key, tags (separated by commas)
    input_tokens are all prompt tokens, output_tokens all completion tokens; the others are
    parts of them. A row with a cost_usd is booked at that cost, others by their model's price.
    A local time that comes twice when clocks go back is the first of the two; one that clocks
    skip is read with the offset before the change.

    \b
    Examples:
      spendbeat import requests.csv
      spendbeat import trace.csv --map started_at=TIMESTAMP --map input_tokens=ContextTokens \\
        --map output_tokens=GeneratedTokens --timezone UTC --set provider=azure --set model=gpt-4o
      zcat log.jsonl.gz | spendbeat import - --map input_tokens=usage.prompt_tokens

    Exit code 0, also where some rows were rejected; 1 if the file has no row that can be booked.
    """
    if batch < 1:
        raise click.BadParameter("must be at least 1", param_hint="--batch")
    if delimiter is not None and len(delimiter.replace("\\t", "\t")) != 1:
        raise click.BadParameter("must be one character", param_hint="--delimiter")
    zone = _zone(timezone)
    sink = Rejects(Path(rejects) if rejects else _rejects_path(file))
    try:
        with (
            opened(
                file,
                maps=pairs(maps, "--map"),
                constants=pairs(sets, "--set"),
                format_=format_,
                delimiter=delimiter.replace("\\t", "\t") if delimiter else None,
            ) as found,
            progress("Importing", found.size, found.position) as on_progress,
        ):
            run = try_source if dry_run else import_source
            summary = run(
                engine(),
                found.source,
                zone=zone,
                batch_rows=batch,
                rejects=sink,
                on_progress=on_progress,
            )
    finally:
        sink.close()
    _report(summary, found, sink, dry_run=dry_run, as_json=as_json)
    if summary.read == summary.rejected:
        sys.exit(1)


def _report(
    summary: ImportSummary, found: Opened, sink: Rejects, *, dry_run: bool, as_json: bool
) -> None:
    where = str(sink.path) if sink.rows else None
    if as_json:
        ignored = list(found.source.columns.ignored)
        extra = {"format": found.format, "ignored_columns": ignored, "rejects_file": where}
        click.echo(json.dumps({**asdict(summary), **extra, "dry_run": dry_run}))
        return
    verb = "would be imported unless known" if dry_run else "imported"
    click.echo(
        f"{summary.imported:,} {verb}, {summary.known:,} already known,"
        f" {summary.conflicts:,} conflicts, {summary.rejected:,} rejected,"
        f" {summary.unpriced:,} unpriced  ({_rate(summary)})"
    )
    if found.source.columns.ignored:
        click.echo(f"Columns that are no field: {', '.join(found.source.columns.ignored)}")
    if where:
        click.echo(f"Rows that were not booked, and why: {where}")
    if not summary.read:
        click.echo("The file has no rows.", err=True)


def _rate(summary: ImportSummary) -> str:
    if not summary.seconds:
        return "0 s"
    return f"{summary.seconds:.1f} s, {summary.read / summary.seconds:,.0f} rows/s"


def _rejects_path(file: str) -> Path:
    return Path("stdin.rejects.csv" if file == "-" else f"{file}.rejects.csv")


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInputError(
            f"There is no time zone {name!r}; use an IANA name such as Europe/Berlin."
        ) from error


commands = {"import": import_}
