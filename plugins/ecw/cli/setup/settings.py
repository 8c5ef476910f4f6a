"""`ecw settings apply`: apply airflow_settings.yaml without the Astro CLI."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from ecw.cli import JSON, print_json
from ecw.settings.airflow_settings import KEYS, apply_settings, read_settings


@click.group()
def command() -> None:
    """Create Airflow's connections, pools and variables."""


@command.command()
@click.option("--file", "path", default="airflow_settings.yaml", type=click.Path(path_type=Path), show_default=True)
@click.option(
    "--set", "changes", multiple=True, metavar="NAME.KEY=VALUE", help="Override a value of the file; repeatable."
)
@click.option("--only", "chosen", multiple=True, type=click.Choice(list(KEYS)), help="Only these; repeatable.")
@JSON
def apply(path: Path, changes: tuple[str, ...], chosen: tuple[str, ...], as_json: bool) -> None:
    """Create or update what airflow_settings.yaml names.

    These are connections, pools and variables. Applying the file again changes nothing.
    """
    settings = read_settings(path, changes)
    left_out = {section: () for section in KEYS if chosen and section not in chosen}
    done = apply_settings(replace(settings, **left_out))
    if as_json:
        print_json({"done": done})
        return
    for line in done:
        click.echo(line)
