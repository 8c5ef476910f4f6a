"""The options of the subcommands of `ecw mapping`, and the data that they name: the CRM and staged records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ecw.mapping.definition.model import Mapping

FOLDER = click.option("--folder", help="The folder of the mapping files. Default: ECW_MAPPINGS, or include/mappings.")
STAGING = click.option("--staging", help="The staging area, if it is not the default one.")


@contextmanager
def crm(conn_id: str) -> Iterator[Connection]:
    """Yield a connection that reads the CRM's database."""
    from ecw.crm.db.engine import open_crm, reading

    with open_crm(conn_id) as engine, reading(engine) as connection:
        yield connection


def staged_records(mapping: Mapping, staging_path: str | None) -> Iterator[dict[str, Any]]:
    """Yield the latest staged version of every record of a resource."""
    from ecw.resources import RESOURCES
    from ecw.staging import batch_file, filesystem
    from ecw.staging.location import staging_root

    name = next((one.name for one in RESOURCES.values() if one.fhir_type == mapping.resource), mapping.name)
    root = staging_root(staging_path)
    batches = []
    for practice in filesystem.names(root):
        for run in filesystem.names(filesystem.join(root, practice)):
            folder = filesystem.join(root, practice, run)
            begun = batch_file.read_json(filesystem.join(folder, "run.json"))
            path = filesystem.join(folder, name, "extract.ndjson.gz")
            if begun is not None and batch_file.manifest(path) is not None:
                batches.append((begun["begun"], practice, path))
    yielded = set()
    for _, practice, path in sorted(batches, reverse=True):
        for resource in batch_file.read(path):
            key = (practice, resource.get("id"))
            if key not in yielded:
                yielded.add(key)
                yield resource
