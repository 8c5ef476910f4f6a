"""The client of Group exports (FHIR Bulk Data 2, with eCW's deviations).

    groups -> kick_off -> poll … poll -> lines of each file, or cancel

Every step starts from the saved result of the step before, so that a killed task can resume. The poll URL is saved
before anything else, because eCW sends it only once and refuses a second export while one runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from requests import Response
from requests.exceptions import RequestException

from ecw.errors import ExportExpired, ExportRunning, InvalidResponse, RecordNotFound, ServerUnavailable
from ecw.fhir import unreadable_records
from ecw.fhir.auth.tokens import Purpose
from ecw.fhir.client import ID, EcwClient
from ecw.fhir.paging import next_link
from ecw.fhir.responses import codes_of, error_of, json_of, known_codes, outcome_error
from ecw.fhir.transport import PIECE, explained
from ecw.fhir.urls import pinned
from ecw.resources import RESOURCES

RETRY_AFTER = 120.0  # seconds, if eCW sends no Retry-After
TYPES = {resource.fhir_type for resource in RESOURCES.values()} | {"OperationOutcome"}
PROGRESS = re.compile(r"\d{1,3}(\.\d+)? ?%|\d+ ?(/|of|out of) ?\d+")  # the numbers of a free text
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """A static registry query of the practice: the patients that an export covers."""

    export_id: str  # Group.identifier[0].value: eCW's exports do not accept Group.id
    name: str


@dataclass(frozen=True, slots=True)
class Underway:
    """An export that is not ready: its progress, if eCW reports it in numbers, and the seconds until the next poll."""

    progress: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class File:
    """One NDJSON file of a finished export."""

    fhir_type: str
    url: str
    count: int | None  # lines, if the manifest has it
    bearer: bool = True  # True if the file needs the token


@dataclass(frozen=True, slots=True)
class Manifest:
    """A finished export.  `deleted` are files of Bundles that name the records deleted since the last export."""

    transaction_time: str
    files: tuple[File, ...]
    errors: tuple[File, ...]
    deleted: tuple[File, ...] = ()


def groups(client: EcwClient) -> list[Group]:
    """Return the practice's groups that can be exported."""
    found = []
    for page in client.search("Group", purpose=Purpose.BULK):
        for group in page:
            identifiers = group.get("identifier") or [{}]
            export_id = identifiers[0].get("value") or group.get("id")
            found.append(Group(str(export_id), str(group.get("name") or "")))
    return found


def kick_off(
    client: EcwClient, group: str, types: Sequence[str], keep: Callable[[str], None], since: str | None = None
) -> str:
    """Start an export and return its poll URL; pass the URL to `keep` before anything else.

    Raises ExportRunning while another export of the practice is in progress.
    """
    query = {"_type": ",".join(types)} | ({"_since": since} if since else {})
    url = f"{client.base_url}/Group/{quote(group, safe='')}/$export?{urlencode(query, safe=',')}"

    def start() -> str:
        response = client.request("GET", url, Purpose.BULK, headers={"Prefer": "respond-async"})
        if response.status_code == 200 and "duplicate" in codes_of(response):
            raise ExportRunning(
                "eCW is making another export for this practice; it makes only one at a time.",
                next_step="wait until it is ready; if nobody here started it, ask who else exports this practice.",
            )
        if response.status_code == 200:
            raise outcome_error(response)
        if response.status_code != 202:
            raise error_of(response)
        handle = response.headers.get("Content-Location")
        if not handle:
            raise ServerUnavailable(
                "eCW accepted an export and sent no poll URL (Content-Location).", next_step="try again later."
            )
        return handle

    handle = pinned(client.retrier(start), client.base_url, also=client.settings.file_urls)
    keep(handle)
    return handle


def poll(client: EcwClient, handle: str) -> Underway | Manifest:
    """Fetch the status of the export once: still under way, or its manifest.

    Raises ExportExpired if eCW no longer knows the export.
    """
    found = client.retrier(lambda: _polled(client, handle))
    if isinstance(found, Underway):
        return found
    pages, visited = [_manifest(client, found)], {handle}
    while (link := next_link(found)) is not None:
        page = pinned(link, client.base_url, page=handle, also=client.settings.file_urls)
        if page in visited:
            raise InvalidResponse(
                "The pages of an export's manifest lead back to one already read.",
                next_step="start the export again; if it happens again, ask eCW support.",
            )
        visited.add(page)
        found = client.retrier(lambda: _polled(client, page))  # noqa: B023 - called immediately
        if isinstance(found, Underway):
            raise ServerUnavailable("A page of the export's manifest is not ready.", next_step="try again later.")
        pages.append(_manifest(client, found))
    return Manifest(
        pages[0].transaction_time,
        *(sum((getattr(page, name) for page in pages), ()) for name in ("files", "errors", "deleted")),
    )


def deletions(client: EcwClient, manifest: Manifest, fhir_type: str) -> list[str]:
    """Return the ids of a type in the manifest's `deleted` files (Bulk Data 2, "Response - Complete Status")."""
    found: dict[str, None] = {}
    for file in manifest.deleted:
        for bundle in lines(client, file):
            for entry in bundle.get("entry") or []:
                request = entry.get("request") or {}
                kind, _, ecw_id = str(request.get("url") or "").partition("/")
                if request.get("method") == "DELETE" and kind == fhir_type and ID.fullmatch(ecw_id):
                    found[ecw_id] = None
    return list(found)


def lines(client: EcwClient, file: File) -> Iterator[Json]:
    """Yield the resources of one file; the token is renewed when necessary.

    Memory holds one piece of the file, or one record. An unreadable record is replaced by a stand-in, see
    ecw.fhir.unreadable_records. The caller must keep all lines or none: a dropped connection, or a count that differs
    from the manifest's, is raised after lines were yielded.

    Raises ServerUnavailable, ExportExpired, InvalidResponse.
    """
    response = client.retrier(lambda: _opened(client, file))
    count, name = 0, file.fhir_type if file.fhir_type in TYPES else "unknown"
    with response:
        try:
            for line in unreadable_records.split_lines(response.iter_content(PIECE)):
                count += 1
                yield unreadable_records.record_of(line, name, count)
        except RequestException as error:
            raise explained(error, f"The export's {name} file, after {count} lines") from None
    if file.count is not None and file.count != count:
        raise InvalidResponse(
            f"The export's {name} file has {count} lines, and its manifest says {file.count}.",
            next_step="start the export again; if it happens again, ask eCW support.",
        )


def refuse_errors(client: EcwClient, manifest: Manifest) -> None:
    """Read the manifest's error files; raise InvalidResponse if one has an error: records are missing in the export."""
    issues: list[Json] = []
    for file in manifest.errors:
        for outcome in lines(client, file):
            issues += [issue for issue in outcome.get("issue") or [] if issue.get("severity") in {"error", "fatal"}]
    if issues:
        raise InvalidResponse(
            f"eCW could not export everything: {len(issues)} errors "
            f"({', '.join(sorted(known_codes(issues))) or 'no code'}).",
            next_step="start the export again; if it happens again, ask eCW support.",
        )


def cancel(client: EcwClient, handle: str, *, once: bool = False) -> None:
    """Stop an export, or have its files deleted; accept one that no longer exists.  `once`: do not retry."""

    def stop() -> None:
        response = client.request("DELETE", handle, Purpose.BULK)
        if response.status_code not in {200, 202, 204} and not isinstance(error := error_of(response), RecordNotFound):
            raise error

    (client.retrier.once if once else client.retrier)(stop)


def _polled(client: EcwClient, handle: str) -> Underway | Json:
    response = client.request("GET", handle, Purpose.BULK, headers={"Accept": "application/json"})
    if response.status_code == 202:
        progress = PROGRESS.search(response.headers.get("X-Progress", ""))
        return Underway(progress.group() if progress else None, _retry_after(response))
    _refuse(response)
    body = json_of(response)
    if body.get("resourceType") == "OperationOutcome":
        raise outcome_error(response)
    if not isinstance(body.get("output"), list) or not body.get("transactionTime"):
        raise ServerUnavailable(
            "The export's manifest is incomplete: it has no output, or no transactionTime.",
            next_step="try again later.",
        )
    return body


def _manifest(client: EcwClient, body: Json) -> Manifest:
    bearer = body.get("requiresAccessToken") is not False
    output, errors, deleted = (
        tuple(_file(client, each, bearer) for each in body.get(name) or []) for name in ("output", "error", "deleted")
    )
    return Manifest(str(body["transactionTime"]), output, errors, deleted)


def _file(client: EcwClient, listed: Json, bearer: bool) -> File:
    """Return the file of a manifest entry.  eCW writes `&amp;` and http:// into these URLs; both are fixed."""
    url = pinned(str(listed.get("url")), client.base_url, also=client.settings.file_urls)
    own = url.startswith(f"{client.base_url}/")
    return File(str(listed.get("type")), url, listed.get("count"), bearer or own)


def _opened(client: EcwClient, file: File) -> Response:
    headers = {"Accept": "application/fhir+ndjson"}
    if file.bearer:
        response = client.request("GET", file.url, Purpose.BULK, headers=headers, stream=True)
    else:  # the URL itself is the secret (a signed URL): the token is not for that host
        response = client.transport.send("GET", file.url, headers=headers, stream=True)
    if response.status_code != 200:
        with response:
            _refuse(response)
    return response


def _refuse(response: Response) -> None:
    """Raise the error of an answer that is not 200; ExportExpired if the export is not found."""
    if response.status_code == 200:
        return
    error = error_of(response)
    if isinstance(error, RecordNotFound):
        raise ExportExpired(f"{error.what} eCW no longer knows this export.", next_step="start the export again.")
    raise error


def _retry_after(response: Response) -> float:
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else RETRY_AFTER
