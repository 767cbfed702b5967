"""The `spendbeat` command: one file per group of commands."""

from worker.cli.root import main

__all__ = ["main"]
