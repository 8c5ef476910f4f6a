"""`ecw keys`: the RSA keys that sign token requests, and the public key set (JWKS) that eCW fetches."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from ecw.cli import JSON, print_json
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
@JSON
def new(folder: Path, as_json: bool) -> None:
    """Create the first key (RSA, 3072 bits) and the public set."""
    key = key_store.new(folder)
    if as_json:
        print_json(_fields(key, folder))
        return
    _print(key, folder)
    click.echo("Publish the public set, and have eCW register its address (the JWKS URL).")


@command.command()
@FOLDER
@JSON
def show(folder: Path, as_json: bool) -> None:
    """Show the live keys and the public set."""
    live, published = key_store.keys(folder), folder / "jwks.json"
    if as_json:
        listed = [{"key_id": key.kid, "bits": key.key.key_size, "private_key": str(key.path)} for key in live]
        print_json({"keys": listed, "public_set": json.loads(published.read_text()) if published.exists() else None})
        return
    for key in live:
        click.echo(f"{key.kid}  RSA {key.key.key_size} bits  {key.path}")
    click.echo(published.read_text() if published.exists() else "No key: `ecw keys new` creates one.")


@command.command()
@FOLDER
@JSON
def rotate(folder: Path, as_json: bool) -> None:
    """Create a second key.

    The public set has both until the old one is retired.
    """
    key = key_store.rotate(folder)
    old = key_store.keys(folder)[0].kid
    if as_json:
        print_json({**_fields(key, folder), "old_key_id": old})
        return
    _print(key, folder)
    click.echo("Publish the public set, change private_key and key_id of the connection, press Test Connection.")
    click.echo(f"When no task uses the old key any more: ecw keys retire {old}")


@command.command()
@click.argument("kid")
@click.option("--conn-id", default="ecw_default", show_default=True, help="The connection that must not use it.")
@FOLDER
@JSON
def retire(kid: str, conn_id: str, folder: Path, as_json: bool) -> None:
    """Delete a key, also from the public set."""
    from ecw.settings import connections

    if connections.exists(conn_id) and connections.get(conn_id).extra_dejson.get("key_id") == kid:
        raise ConfigurationError(
            f"The connection {conn_id!r} still signs with {kid}.",
            next_step="put the other key into its fields private_key and key_id, and press Test Connection.",
        )
    key_store.retire(folder, kid)
    if as_json:
        print_json({"deleted": kid, "public_set": str(folder / "jwks.json")})
        return
    click.echo(f"{kid} is deleted. Publish {folder / 'jwks.json'} again.")


def _fields(key: key_store.StoredKey, folder: Path) -> dict[str, str]:
    """Return the connection's fields for a key, and the file to publish."""
    return {"private_key": str(key.path), "key_id": key.kid, "public_set": str(folder / "jwks.json")}


def _print(key: key_store.StoredKey, folder: Path) -> None:
    for name, value in _fields(key, folder).items():
        click.echo(f"{name:<12} {value}")
