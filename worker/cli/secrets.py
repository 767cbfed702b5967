"""The key of the stored secrets."""

import click

from spend import secrets as store
from spend.delivery import registry
from worker import sending
from worker.cli.output import print_json
from worker.database import transaction
from worker.settings import settings


@click.group
def secrets() -> None:
    """The key that encrypts stored secrets, such as those of channels."""


@secrets.command("new-key")
def new_key() -> None:
    """Print a new key; nothing is stored.

    \b
    Example:
      export SPENDBEAT_SECRET_KEY=$(spendbeat secrets new-key)
    """
    click.echo(store.new_key())


@secrets.command
@click.option("--new-key", is_flag=True, help="First put a new key in front, in the key file.")
@click.option("--forget", is_flag=True, help="At the end drop the other keys from the key file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rotate(*, new_key: bool, forget: bool, as_json: bool) -> None:
    """Encrypt every stored secret anew with the first key.

    With SPENDBEAT_SECRET_KEY: put a new key in front of the old one, separated by a comma, for
    every process; rotate; then leave the old one out. With a key file: --new-key and --forget do
    the same to the file. A backup of the database from before needs the old key.

    \b
    Examples:
      spendbeat secrets rotate
      spendbeat secrets rotate --new-key --forget
    """
    file = None if settings().secret_key is not None else sending.key_file()
    if (new_key or forget) and file is None:
        raise click.UsageError(
            "SPENDBEAT_SECRET_KEY is set, so the keys are yours to change there; --new-key and"
            " --forget are for a key file."
        )
    if new_key and file:
        store.put_first(file, store.new_key())
    keys = sending.keys()
    with transaction() as session:
        count = registry.seal_again(session, keys)
    # Only now, when nothing that is committed needs them.
    forgotten = store.keep_first(file) if forget and file else 0
    if as_json:
        print_json({"encrypted": count, "forgotten_keys": forgotten})
        return
    click.echo(f"{count} secrets are encrypted with the first key of {keys.place}.")
    if forgotten:
        click.echo(f"{forgotten} older keys are forgotten.")


commands = {"secrets": secrets}
