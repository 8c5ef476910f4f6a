"""Group export (FHIR Bulk Data): kick-off, progress, manifest, files, cancel.

As in eCW, the group is named by its first identifier, a second kick-off during a running export gets 200 with an
OperationOutcome, and the URLs in the manifest contain `&amp;`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
from starlette.responses import Response

from include.sandbox.bundles import Refused, fhir_answer, outcome
from include.sandbox.population import Resource
from include.sandbox.searching import span

if TYPE_CHECKING:
    from include.sandbox.endpoints.serving import Call

_PARAMETERS = {"_since", "_type"}
_BATCH = 200  # records between two switches to other calls
_OWNER = {"Patient": "id", "Coverage": "beneficiary", "Encounter": "subject"}


@dataclass
class Export:
    """An export job; `parts` has the numbers of the records by type, from the end of the job."""

    id: str
    group: int
    types: list[str]
    since: str | None
    started: float
    transaction_time: str
    parts: dict[str, list[int]] = field(default_factory=dict)
    ready: bool = False


async def kick_off(call: Call) -> Response:
    """Answer `GET {base}/Group/{group}/$export`."""
    sandbox, query = call.sandbox, call.request.query_params
    call.require("Group", "r")
    if "respond-async" not in call.request.headers.get("prefer", ""):
        raise Refused(400, "invalid", "An export needs the header Prefer: respond-async.")
    if unknown := sorted(set(query) - _PARAMETERS):
        text = f"Unsupported query parameter(s): {', '.join(unknown)}. These parameters are not allowed."
        raise Refused(400, "invalid", text)
    group, types = _group(call), _types(call)
    try:
        span(query.get("_since", "2026-01-01"), sandbox.zone)
    except ValueError:
        raise Refused(400, "value", "_since is not an instant.") from None
    now = sandbox.clock.now()
    if any(job.started + sandbox.settings.export_seconds > now for job in sandbox.exports.values()):
        return fhir_answer(sandbox, outcome("duplicate", "A duplicate export request is still running."))
    job = Export(secrets.token_hex(12), group, types, query.get("_since"), now, sandbox.clock.stamp())
    sandbox.exports[job.id] = job
    headers = {
        "Content-Location": f"{sandbox.export_base}/$export-status/{job.id}",
        "Retry-After": str(sandbox.settings.export_retry_after),
    }
    return Response(status_code=202, headers=headers)


async def status(call: Call) -> Response:
    """Answer a poll: 202 with X-Progress, then 200 with the manifest."""
    sandbox, job = call.sandbox, _job(call)
    call.require("Group", "r")
    elapsed, whole = sandbox.clock.now() - job.started, sandbox.settings.export_seconds
    if elapsed < whole:
        return Response(status_code=202, headers={"X-Progress": f"{100 * elapsed / whole:.0f}% complete"})
    if not job.ready:
        job.parts = {kind: [key async for key in _members(call, job, kind)] for kind in job.types}
        job.ready = True
    size = sandbox.settings.export_lines
    output = [
        {
            "type": kind,
            "url": f"{sandbox.export_base}/$export-file?job={job.id}&amp;type={kind}&amp;part={part}",
        }
        for kind, keys in job.parts.items()
        for part in range(-(-len(keys) // size))
    ]
    manifest = {
        "transactionTime": job.transaction_time,
        "request": f"{sandbox.link_base}/Group/$export",
        "requiresAccessToken": True,
        "output": output,
        "error": [],
    }
    if each := sandbox.settings.export_pages:
        number = int(call.request.query_params.get("page", "0"))
        manifest["output"] = output[number * each : (number + 1) * each]
        if output[(number + 1) * each :]:
            following = f"{sandbox.export_base}/$export-status/{job.id}?page={number + 1}"
            manifest["link"] = [{"relation": "next", "url": following}]
    return Response(orjson.dumps(manifest), headers={"Content-Type": "application/json"})


async def file(call: Call) -> Response:
    """Answer a request for a file of the manifest: NDJSON; the token must allow reading its type."""
    query, job = call.request.query_params, _job(call)
    kind, part = query.get("type", ""), query.get("part", "")
    if kind not in job.parts or not part.isdecimal():
        raise Refused(404, "not-found", "This export has no such file.")
    call.require(kind, "r")
    size, line = call.sandbox.settings.export_lines, orjson.OPT_APPEND_NEWLINE
    numbers = job.parts[kind][int(part) * size : (int(part) + 1) * size]
    lines = [orjson.dumps(resource, option=line) async for _, resource in _numbered(call, kind, numbers)]
    return Response(b"".join(lines), headers={"Content-Type": "application/fhir+ndjson"})


async def cancel(call: Call) -> Response:
    """Answer `DELETE` on the status URL: delete the job and its files."""
    job, status_code = _job(call), call.sandbox.settings.export_delete
    if status_code >= 400:
        raise Refused(status_code, "not-supported", "Exports cannot be deleted.")
    del call.sandbox.exports[job.id]
    return Response(status_code=status_code)


def _group(call: Call) -> int:
    """Return the group's number; eCW names a group by its first identifier, a plain server by its id."""
    groups, name = call.sandbox.store["Group"], call.request.path_params["id"]
    for key in groups.numbers():
        group = groups.at(key) or {}
        if call.sandbox.settings.profile == "fhir":
            own_name = group.get("id")
        else:
            own_name = (group.get("identifier") or [{}])[0].get("value")
        if own_name == name:
            return key
    raise Refused(404, "not-found", "Group with this id is not known.")


def _types(call: Call) -> list[str]:
    """Return the types to export: the requested ones, which the token must allow, or all that it allows."""
    exported = call.sandbox.settings.listed("export_types")
    requested = [kind for kind in call.request.query_params.get("_type", "").split(",") if kind]
    for kind in requested:
        if kind not in call.sandbox.store.types:
            raise Refused(400, "invalid", "_type holds a type that is not known.")
        call.require(kind, "r")
    if requested:
        return [kind for kind in requested if kind in exported]
    return [kind for kind in exported if call.token and call.token.allows(kind, "r")]


def _job(call: Call) -> Export:
    job_id = call.request.path_params.get("job") or call.request.query_params.get("job", "")
    if job_id not in call.sandbox.exports:
        raise Refused(404, "not-found", "This export is not known, or has expired.")
    return call.sandbox.exports[job_id]


async def _members(call: Call, job: Export, kind: str) -> AsyncIterator[int]:
    """Yield the numbers of the records to export: those of the group's patients; of other types all records."""
    sandbox = call.sandbox
    collection, owner = sandbox.store[kind], _OWNER.get(kind)
    since = job.since if sandbox.settings.export_since else None
    only_members = owner is not None and job.group == 1
    numbers = list(collection.numbers())
    if not only_members and since is None:
        for key in numbers:
            yield key
        return
    earliest = span(since, sandbox.zone)[0] if since else 0.0
    async for key, resource in _numbered(call, kind, numbers):
        changed = resource.get("meta", {}).get("lastUpdated")
        too_old = changed is not None and span(changed, sandbox.zone)[0] < earliest
        if not too_old and (not only_members or _is_alumnus(call, resource, owner or "")):
            yield key


def _is_alumnus(call: Call, resource: Resource, owner: str) -> bool:
    """Return True if the record's patient is in the second group, which has every third patient."""
    of = resource["id"] if owner == "id" else resource.get(owner, {}).get("reference", "").removeprefix("Patient/")
    key = call.sandbox.store["Patient"].key_of(of)
    return key is not None and key % 3 == 0


async def _numbered(call: Call, kind: str, numbers: list[int]) -> AsyncIterator[tuple[int, Resource]]:
    collection = call.sandbox.store[kind]
    for count, key in enumerate(numbers):
        if count % _BATCH == 0:
            await asyncio.sleep(0)
        if resource := collection.at(key):
            yield key, resource
