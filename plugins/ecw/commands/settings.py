"""`ecw settings apply`: airflow_settings.yaml outside the Astro CLI."""

from __future__ import annotations

from pathlib import Path

import click

from ecw.settings_file import apply_settings, read_settings


@click.group()
def command() -> None:
    """Connections, pools and variables from airflow_settings.yaml."""


@command.command()
@click.option("--file", "path", default="airflow_settings.yaml", type=click.Path(path_type=Path), show_default=True)
@click.option("--set", "changes", multiple=True, metavar="NAME.KEY=VALUE", help="Put a value over the file's.")
def apply(path: Path, changes: tuple[str, ...]) -> None:
    """Bring Airflow's connections, pools and variables to what the file says, as often as you like."""
    for line in apply_settings(read_settings(path, changes)):
        click.echo(line)
