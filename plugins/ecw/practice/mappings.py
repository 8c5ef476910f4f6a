"""The mappings of a practice: its own files, and the time zone and constants of its connection."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

from ecw.did_you_mean import did_you_mean
from ecw.errors import ConfigurationError
from ecw.fhir.connection import base_url_of
from ecw.mapping.definition.files import load_mapping
from ecw.mapping.definition.model import Mapping
from ecw.models import Push, Run
from ecw.resources import RESOURCES
from ecw.settings import connections
from ecw.settings.practices import of_connection

if TYPE_CHECKING:
    from ecw.settings.connections import Connection
    from ecw.settings.practice import Practice

TIME_ZONE = "time_zone"


def connection_of(run: Run | Push) -> Connection:
    """Return the connection of a run. Every step reads it again, so the practice is compared each time.

    Raises ConfigurationError if it now names another practice than when the run began.
    """
    connection = connections.get(run["ecw_conn_id"])
    if (base_url := base_url_of(connection)) != run["base_url"]:
        raise ConfigurationError(
            f"The run began with the practice at {run['base_url']}, and the connection {run['ecw_conn_id']!r} "
            f"now names {base_url}: a run must not read from, or write to, another practice.",
            next_step="trigger a new run for the other practice; to finish this one, point the connection back and "
            "clear the failed tasks. A connection for each practice avoids this.",
        )
    return connection


def mapping_of(run: Run | Push, resource: str) -> Mapping:
    """Return the resource's mapping for the run's practice.  Raises the errors of connection_of and mappings_of."""
    return PracticeMappings(connection_of(run)).of(resource)


def mappings_of(ecw_conn_id: str, resources: Iterable[str]) -> Iterator[Mapping]:
    """Yield the mappings of resources for the practice of a connection.

    Raises ConfigurationError, MappingError.
    """
    read, names = PracticeMappings.at(ecw_conn_id), list(resources)
    yield from map(read.of, names)
    read.require_known(names)


class PracticeMappings:
    """The mappings for the practice of a connection, each read once.

    The connection's extra field `mapping` overrides the files: it holds `time_zone`, and constants by name. Another
    time zone gives the mapping another version, so that rows are mapped again.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._read: dict[str, Mapping] = {}

    @classmethod
    def at(cls, ecw_conn_id: str) -> Self:
        """Return the mappings of the practice at a connection.  Raises ConfigurationError if it does not exist."""
        return cls(connections.get(ecw_conn_id))

    @cached_property
    def base_url(self) -> str:
        """The practice's server and code.  Raises ConfigurationError."""
        return base_url_of(self.connection)

    @cached_property
    def practice(self) -> Practice:
        """The practice's settings."""
        return of_connection(self.connection.conn_id or "")

    @cached_property
    def _written(self) -> dict[str, str]:
        found = self.connection.extra_dejson.get("mapping") or {}
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise ConfigurationError(
                "The connection's extra field `mapping` is not a JSON object of texts.",
                next_step='write it as {"time_zone": "America/Chicago"}, or leave it out.',
            )
        if TIME_ZONE in found:
            _require(found[TIME_ZONE])
        return found

    @property
    def _constants(self) -> dict[str, str]:
        return {name: value for name, value in self._written.items() if name != TIME_ZONE}

    def of(self, resource: str) -> Mapping:
        """Return the mapping of a resource.  Raises ConfigurationError (the connection), MappingError."""
        if resource not in self._read:
            zone = self._written.get(TIME_ZONE)
            mapping = load_mapping(resource, self._constants, self.practice.mappings)
            if zone is not None and mapping.time_zone is not None and zone != mapping.time_zone:
                version = hashlib.sha256(f"{mapping.version} {zone}".encode()).hexdigest()[: len(mapping.version)]
                mapping = replace(mapping, time_zone=zone, version=version)
            self._read[resource] = replace(mapping, base_url=self.base_url)
        return self._read[resource]

    def require_known(self, resources: Collection[str]) -> None:
        """Raise ConfigurationError if the connection names a constant that no mapping has.

        With only some of the resources this cannot be decided: then do nothing.
        """
        if set(resources) != set(RESOURCES):
            return
        known = {name for resource in resources for name in self.of(resource).constants}
        if unknown := sorted(self._constants.keys() - known):
            raise ConfigurationError(
                f"The connection's extra field `mapping` names {unknown[0]!r}, which no mapping file has as a "
                "constant.",
                next_step=f"{did_you_mean(unknown[0], [TIME_ZONE, *sorted(known)])}",
            )


def _require(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ConfigurationError(
            f"The connection's extra field `mapping` names {zone!r}, which is not a time zone.",
            next_step="use a name such as America/Chicago.",
        ) from None
