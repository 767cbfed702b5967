"""The group `spendbeat prices`: what models cost, when, and where that is from."""

import click

from worker.cli import disagreements, price_changes, price_views

GROUP_COMMANDS = {**price_views.commands, **price_changes.commands, **disagreements.commands}


@click.group(commands=GROUP_COMMANDS)
def prices() -> None:
    """What models cost, when, and where that is from; prices of your own, price lists."""


commands = {"prices": prices}
