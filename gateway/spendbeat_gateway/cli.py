"""spendbeat-gateway: look at a spool, empty it, decide about what was refused."""

import argparse
import json
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from spendbeat_gateway import database
from spendbeat_gateway.outbox import Outbox, Rejected
from spendbeat_gateway.recording import Recorder
from spendbeat_gateway.settings import MEGABYTE, Settings, from_environment
from spendbeat_gateway.stats import Stats, collect, destination

_EXAMPLES = """examples:
  spendbeat-gateway status            what waits, what was lost, the last error
  spendbeat-gateway flush             ship all that waits, for example from cron
  spendbeat-gateway rejected list     events that the service refused, with its reasons
  spendbeat-gateway rejected retry    send them again

Settings come from the environment, as in the program that records: SPENDBEAT_GATEWAY_URL,
SPENDBEAT_GATEWAY_TOKEN or SPENDBEAT_GATEWAY_DATABASE_URL, SPENDBEAT_GATEWAY_SPOOL.
"""


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    settings = from_environment()
    if options.spool:
        settings = replace(settings, spool=Path(options.spool).expanduser())
    for problem in settings.problems:
        print(problem, file=sys.stderr)
    try:
        return int(options.act(settings, options))
    except (sqlite3.Error, OSError) as error:
        print(f"The spool {settings.spool} cannot be used: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spendbeat-gateway",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--spool", metavar="FOLDER", help="instead of SPENDBEAT_GATEWAY_SPOOL")
    common.add_argument("--json", action="store_true", help="for programs")

    status = commands.add_parser("status", parents=[common], help="figures of the spool")
    status.set_defaults(act=_status)
    flush = commands.add_parser("flush", parents=[common], help="ship all that waits")
    flush.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS")
    flush.set_defaults(act=_flush)
    rejected = commands.add_parser("rejected", help="events that the service refused")
    verbs = rejected.add_subparsers(required=True, metavar="VERB")
    listing = verbs.add_parser("list", parents=[common], help="show them, the oldest first")
    listing.add_argument("--limit", type=int, default=100, metavar="N")
    listing.set_defaults(act=_list)
    for verb, says, act in (
        ("retry", "put them back among the waiting ones", _retry),
        ("drop", "delete them", _drop),
    ):
        command = verbs.add_parser(verb, parents=[common], help=says)
        command.add_argument("ids", nargs="*", type=int, metavar="NUMBER", help="without: all")
        command.set_defaults(act=act)
    return parser


def _status(settings: Settings, options: argparse.Namespace) -> int:
    if _is_there(settings):
        outbox = Outbox(settings.spool, settings.limit)
        stats = collect(settings, outbox)
        outbox.close()
    else:
        stats = Stats(str(settings.spool), destination(settings), limit_bytes=settings.limit)
    if options.json:
        print(json.dumps(stats.as_dict()))
    else:
        _show(stats)
    return 1 if stats.problem else 0


def _show(stats: Stats) -> None:
    reasons = ", ".join(f"{name} {n:,}" for name, n in (stats.dropped_by_reason or {}).items())
    age = "" if stats.oldest_seconds is None else f", the oldest for {stats.oldest_seconds:,.0f} s"
    lines = {
        "spool": stats.spool,
        "ships to": stats.destination,
        "waiting": f"{stats.waiting:,}{age}",
        "shipped": f"{stats.shipped:,}",
        "dropped": f"{stats.dropped:,}" + (f" ({reasons})" if reasons else ""),
        "rejected": f"{stats.rejected:,}",
        "unmeasured": f"{stats.unmeasured:,}",
        "on disk": f"{stats.bytes / MEGABYTE:,.1f} MB of {stats.limit_bytes / MEGABYTE:,.0f} MB",
        "last arrival": _time(stats.last_success),
        "last error": stats.last_error or "none",
    }
    for name, value in lines.items():
        print(f"{name:13} {value}")
    if stats.problem:
        print(stats.problem, file=sys.stderr)


def _flush(settings: Settings, options: argparse.Namespace) -> int:
    if not _is_there(settings):
        print(json.dumps({"waiting": 0}) if options.json else "Nothing waits.")
        return 0
    recorder = Recorder(spool=settings.spool)
    before = recorder.stats()
    gone = recorder.flush(options.timeout)
    after = recorder.stats()
    recorder.close(0)
    if options.json:
        print(json.dumps(after.as_dict()))
    elif gone:
        print(f"{before.waiting:,} events have left the spool.")
    else:
        why = after.problem or after.last_error or f"{options.timeout:g} s were not enough"
        print(f"{after.waiting:,} events still wait: {why}", file=sys.stderr)
    return 0 if gone else 1


def _list(settings: Settings, options: argparse.Namespace) -> int:
    found = _rejected(settings, options.limit)
    for event in found:
        if options.json:
            print(json.dumps(event._asdict()))
        else:
            print(f"{event.id}  {_time(event.id // 10**9)}  {event.reason}\n    {event.body[:200]}")
    if not found and not options.json:
        print("None was refused.")
    return 0


def _retry(settings: Settings, options: argparse.Namespace) -> int:
    return _decide(settings, options, "retry", "go out again")


def _drop(settings: Settings, options: argparse.Namespace) -> int:
    return _decide(settings, options, "drop", "deleted")


def _decide(settings: Settings, options: argparse.Namespace, verb: str, says: str) -> int:
    n = 0
    if _is_there(settings):
        ids = options.ids or [event.id for event in _rejected(settings, -1)]
        outbox = Outbox(settings.spool, settings.limit)
        n = outbox.retry(ids) if verb == "retry" else outbox.drop(ids)
        outbox.close()
    print(json.dumps({verb: n}) if options.json else f"{n:,} events {says}.")
    return 1 if options.ids and n < len(options.ids) else 0


def _rejected(settings: Settings, most: int) -> list[Rejected]:
    if not _is_there(settings):
        return []
    outbox = Outbox(settings.spool, settings.limit)
    found = outbox.rejected(most)
    outbox.close()
    return found


def _is_there(settings: Settings) -> bool:
    return (settings.spool / database.FILE).exists()


def _time(seconds: int | None) -> str:
    if seconds is None:
        return "never"
    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")


if __name__ == "__main__":
    sys.exit(main())
