"""`ecw keys`: the RSA keys that sign token requests, and the public key set (JWKS) that eCW fetches."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ecw.errors import ConfigurationError
from ecw.fhir.keys import key_store

FOLDER = click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=lambda: Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "ecw_keys",
    show_default="AIRFLOW_HOME/ecw_keys",
    help="The folder of the keys, which only its owner can read.",
)


@click.group()
def command() -> None:
    """Create, show, rotate and retire the keys for token requests."""


@command.command()
@FOLDER
def new(folder: Path) -> None:
    """Create the first key (RSA, 3072 bits) and the public set."""
    _print(key_store.new(folder), folder)
    click.echo("Publish the public set, and have eCW register its address (the JWKS URL).")


@command.command()
@FOLDER
def show(folder: Path) -> None:
    """Show the live keys and the public set."""
    for key in key_store.keys(folder):
        click.echo(f"{key.kid}  RSA {key.key.key_size} bits  {key.path}")
    published = folder / "jwks.json"
    click.echo(published.read_text() if published.exists() else "No key: `ecw keys new` creates one.")


@command.command()
@FOLDER
def rotate(folder: Path) -> None:
    """Create a second key.

    The public set has both until the old one is retired.
    """
    _print(key_store.rotate(folder), folder)
    old = key_store.keys(folder)[0].kid
    click.echo("Publish the public set, change private_key and key_id of the connection, press Test Connection.")
    click.echo(f"When no task uses the old key any more: ecw keys retire {old}")


@command.command()
@click.argument("kid")
@click.option("--conn-id", default="ecw_default", show_default=True, help="The connection that must not use it.")
@FOLDER
def retire(kid: str, conn_id: str, folder: Path) -> None:
    """Delete a key, also from the public set."""
    from ecw.settings import connections

    if connections.exists(conn_id) and connections.get(conn_id).extra_dejson.get("key_id") == kid:
        raise ConfigurationError(
            f"The connection {conn_id!r} still signs with {kid}.",
            next_step="put the other key into its fields private_key and key_id, and press Test Connection.",
        )
    key_store.retire(folder, kid)
    click.echo(f"{kid} is deleted. Publish {folder / 'jwks.json'} again.")


def _print(key: key_store.StoredKey, folder: Path) -> None:
    click.echo(f"private_key  {key.path}")
    click.echo(f"key_id       {key.kid}")
    click.echo(f"public set   {folder / 'jwks.json'}")
