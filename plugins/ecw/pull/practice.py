"""What differs between practices in a mapping: its time zone and its constants, from the connection."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from ecw import connections
from ecw.api.settings import EcwSettings
from ecw.errors import ConfigurationWrong, EcwError
from ecw.mapping.files import load_mapping
from ecw.mapping.model import Mapping
from ecw.words import Run

TIME_ZONE = "time_zone"


def mapping_of(run: Run, resource: str) -> Mapping:
    """Return the resource's mapping as the run's practice wants it."""
    return next(mappings_of(run["ecw_conn_id"], [resource]))


def mappings_of(ecw_conn_id: str, resources: Iterable[str]) -> Iterator[Mapping]:
    """Yield the mappings of resources; the connection's extra field `mapping` stands in for what the files say.

    It holds `time_zone`, and constants by their names. Another zone makes another version: rows are mapped again.

    Raises ConfigurationWrong, MappingWrong.
    """
    connection = connections.get(ecw_conn_id)
    said = connection.extra_dejson.get("mapping") or {}
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        raise ConfigurationWrong(
            "The connection's extra field `mapping` is no JSON object of texts.",
            next_move='write it as {"time_zone": "America/Chicago"}, or leave it out.',
        )
    zone = said.get(TIME_ZONE)
    if zone is not None:
        _require(zone)
    constants = {name: value for name, value in said.items() if name != TIME_ZONE}
    base_url = _base_url(connection)
    for resource in resources:
        mapping = load_mapping(resource, constants)
        if zone is not None and mapping.time_zone is not None and zone != mapping.time_zone:
            version = hashlib.sha256(f"{mapping.version} {zone}".encode()).hexdigest()[: len(mapping.version)]
            mapping = replace(mapping, time_zone=zone, version=version)
        yield replace(mapping, base_url=base_url)


def _base_url(connection: Any) -> str | None:
    try:
        return EcwSettings.from_connection(connection).base_url
    except EcwError:  # whoever calls eCW with it says what is wrong
        return None


def _require(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ConfigurationWrong(
            f"The connection's extra field `mapping` names a time zone {zone!r} that there is not.",
            next_move="use a name such as America/Chicago.",
        ) from None
