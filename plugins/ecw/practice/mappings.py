"""What differs between practices in a mapping: its time zone and its constants, from the connection."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ecw.errors import ConfigurationError
from ecw.fhir.connection import base_url_of
from ecw.mapping.definition.files import load_mapping
from ecw.mapping.definition.model import Mapping
from ecw.models import Push, Run
from ecw.resources import RESOURCES
from ecw.settings import connections
from ecw.settings.did_you_mean import did_you_mean
from ecw.settings.practices import of_connection

if TYPE_CHECKING:
    from ecw.settings.connections import Connection

TIME_ZONE = "time_zone"


def connection_of(run: Run | Push) -> Connection:
    """Return the connection of a run; every step of one reads it anew, so it is compared each time.

    Raises ConfigurationError where it names another practice than when the run began.
    """
    connection = connections.get(run["ecw_conn_id"])
    require_same(run, base_url_of(connection))
    return connection


def require_same(run: Run | Push, base_url: str) -> None:
    """Raise ConfigurationError where the base URL is not that of the run's practice."""
    if base_url != run["base_url"]:
        raise ConfigurationError(
            f"The run began with the practice at {run['base_url']}, and the connection {run['ecw_conn_id']!r} names "
            f"{base_url} now: nothing of the run may reach, or come from, another practice.",
            next_step="trigger a new run for the other practice; to finish this one, point the connection back and "
            "clear the failed tasks. A connection for each practice avoids this.",
        )


def mapping_of(run: Run | Push, resource: str) -> Mapping:
    """Return the resource's mapping as the run's practice wants it.  Raises what connection_of and mappings_of do."""
    return next(_mappings(connection_of(run), [resource]))


def mappings_of(ecw_conn_id: str, resources: Iterable[str]) -> Iterator[Mapping]:
    """Yield the mappings of resources as a connection's practice wants them.

    Raises ConfigurationError, MappingError.
    """
    yield from _mappings(connections.get(ecw_conn_id), resources)


def _mappings(connection: Connection, resources: Iterable[str]) -> Iterator[Mapping]:
    """Yield the mappings of resources; the connection's extra field `mapping` stands in for what the files say.

    It holds `time_zone`, and constants by their names. Another zone makes another version: rows are mapped again.
    """
    said = connection.extra_dejson.get("mapping") or {}
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        raise ConfigurationError(
            "The connection's extra field `mapping` is not a JSON object of texts.",
            next_step='write it as {"time_zone": "America/Chicago"}, or leave it out.',
        )
    zone = said.get(TIME_ZONE)
    if zone is not None:
        _require(zone)
    constants = {name: value for name, value in said.items() if name != TIME_ZONE}
    base_url = base_url_of(connection)
    known: set[str] = set()
    resources = list(resources)
    own = of_connection(connection.conn_id or "").mappings
    for resource in resources:
        mapping = load_mapping(resource, constants, own)
        if zone is not None and mapping.time_zone is not None and zone != mapping.time_zone:
            version = hashlib.sha256(f"{mapping.version} {zone}".encode()).hexdigest()[: len(mapping.version)]
            mapping = replace(mapping, time_zone=zone, version=version)
        known |= set(mapping.constants)
        yield replace(mapping, base_url=base_url)
    if set(resources) == set(RESOURCES) and (unknown := sorted(constants.keys() - known)):
        raise ConfigurationError(
            f"The connection's extra field `mapping` names {unknown[0]!r}, which no mapping file has as a constant.",
            next_step=f"{did_you_mean(unknown[0], [TIME_ZONE, *sorted(known)])}",
        )


def _require(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ConfigurationError(
            f"The connection's extra field `mapping` names a time zone {zone!r} that there is not.",
            next_step="use a name such as America/Chicago.",
        ) from None
