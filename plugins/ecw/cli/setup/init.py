"""`ecw init`: write the DAG files, mappings and quality suites into a DAGs folder, to edit them there."""

from __future__ import annotations

from pathlib import Path

import click

from ecw import project_files
from ecw.errors import ConfigurationError

KINDS = tuple(project_files.PLACES)
WRITTEN = {"dags": "."} | {kind: place for kind, place in project_files.PLACES.items() if kind != "dags"}


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--only", "chosen", multiple=True, type=click.Choice(KINDS), help="Write only this kind; repeatable.")
@click.option("--force", is_flag=True, help="Overwrite files that were edited.")
def command(folder: Path | None, chosen: tuple[str, ...], force: bool) -> None:
    """Write DAG files, mappings and suites into a DAGs folder.

    The default of FOLDER is Airflow's own DAGs folder. Every node that has the DAG files uses this copy. If you delete
    a file from it, the package's own file is used again.
    """
    target = folder or project_files.dags_folder()
    files = {
        target / WRITTEN[kind] / path.relative_to(source): path.read_bytes()
        for kind in chosen or KINDS
        for source in [_source(kind)]
        for path in sorted(source.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }
    edited = [path for path, content in files.items() if path.exists() and path.read_bytes() != content]
    if edited and not force:
        raise ConfigurationError(
            f"{len(edited)} files in {target} differ from the package's; nothing was written:\n"
            + "\n".join(f"  {path.relative_to(target)}" for path in edited)
            + "\n",
            next_step="keep them as they are, choose with --only, or overwrite your edits with --force.",
        )
    new = [path for path in files if path in edited or not path.exists()]
    try:
        for path in new:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[path])
    except OSError as error:
        raise ConfigurationError(
            f"{target} cannot be written ({error.strerror}).", next_step="name a folder that you may write to."
        ) from None
    click.echo(f"{target}: {len(new)} files written, {len(files) - len(new)} existed already.")
    click.echo("Next: `ecw settings apply`, `ecw migrate`, `ecw check-config`; then unpause the DAGs.")


def _source(kind: str) -> Path:
    source = project_files.source_of(kind)
    if source is None:
        raise ConfigurationError(
            f"This installation of the package does not contain the {kind}.", next_step="install the wheel again."
        )
    return source
