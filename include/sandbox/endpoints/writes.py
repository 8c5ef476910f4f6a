"""Create and update patients: eCW's one-entry transaction, and the plain server's POST and PUT."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.responses import Response

from include.sandbox.bundles import Refused, fhir_answer, transaction_response
from include.sandbox.endpoints.serving import Call
from include.sandbox.endpoints.write_rules import TAKEN, account_number, create_code, update_code
from include.sandbox.population import OID, US_CORE, Resource
from include.sandbox.sandbox import Sandbox


async def transaction(call: Call) -> Response:
    """Answer a Bundle posted to the base URL: HTTP 200 with eCW's own code, for a refused patient too."""
    bundle = await _body(call)
    entries = bundle.get("entry")
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "transaction":
        raise Refused(400, "invalid", "The body must be a Bundle of type transaction.")
    if not isinstance(entries, list) or len(entries) != 1:
        raise Refused(400, "too-costly", "The transaction must have exactly one entry.")
    patient, request = entries[0].get("resource") or {}, entries[0].get("request") or {}
    method, url = str(request.get("method")), str(request.get("url", ""))
    if url.partition("/")[0] != "Patient" or (method, "/" in url) not in _REQUESTS:
        raise Refused(400, "not-supported", "Only POST Patient and PUT Patient are supported.")
    call.require("Patient", "c" if method == "POST" else "u")
    if method == "PUT":
        _require_version(call.sandbox, str(patient.get("id") or url.partition("/")[2]), request.get("ifMatch"))
    if call.sandbox.settings.profile == "fhir":
        return _plain_entry(call, method, patient, url, request.get("ifNoneExist"))
    if method == "POST":
        code = create_code(call.sandbox, patient)
        ecw_id = _create(call.sandbox, patient) if code == 1 else None
    else:
        code = update_code(call.sandbox, patient, url)
        ecw_id = _update(call.sandbox, patient, url) if code == 1 else None
    return fhir_answer(call.sandbox, transaction_response(str(code), ecw_id and f"Patient/{ecw_id}"))


_REQUESTS = (("POST", False), ("PUT", False), ("PUT", True))


def _create(sandbox: Sandbox, patient: Resource) -> str:
    """Store the elements of a new patient that eCW accepts, with both identifiers; hide it for `create_delay`."""
    ecw_id = new_id()
    stored = sandbox.store.put(
        {
            "resourceType": "Patient",
            "id": ecw_id,
            "meta": {"profile": [f"{US_CORE}/us-core-patient"]},
            "identifier": [
                {"use": "usual", "system": OID, "value": ecw_id},
                {"use": "secondary", "system": OID, "value": account_number(patient)},
            ],
            "active": True,
            **{name: patient[name] for name in TAKEN if name in patient},
        }
    )
    sandbox.store.hide("Patient", stored["id"], sandbox.settings.create_delay)
    return ecw_id


def _update(sandbox: Sandbox, patient: Resource, url: str) -> str:
    ecw_id = str(patient.get("id") or url.removeprefix("Patient/"))
    stored = sandbox.store["Patient"].get(ecw_id) or {}
    taken = {name: patient[name] for name in TAKEN if name in patient}
    kept = {
        name: value for name, value in stored.items() if name not in TAKEN or sandbox.settings.update_mode == "merge"
    }
    sandbox.store.put({**kept, **taken})
    return ecw_id


# -- the plain server


async def create(call: Call) -> Response:
    """Answer `POST {base}/Patient`, with If-None-Exist."""
    _only_plain(call)
    call.require("Patient", "c")
    status, stored = _plain_create(call, await _body(call), call.request.headers.get("if-none-exist"))
    headers = {"Location": f"{call.sandbox.link_base}/Patient/{stored['id']}"}
    return fhir_answer(call.sandbox, stored, status, headers)


async def update(call: Call) -> Response:
    """Answer `PUT {base}/Patient/{id}`."""
    _only_plain(call)
    call.require("Patient", "u")
    ecw_id = call.request.path_params["id"]
    _require_version(call.sandbox, ecw_id, call.request.headers.get("if-match"))
    status, stored = _plain_update(call, await _body(call), ecw_id)
    return fhir_answer(call.sandbox, call.sandbox.shown(stored), status)


def _plain_entry(call: Call, method: str, patient: Resource, url: str, condition: str | None) -> Response:
    if method == "POST":
        status, stored = _plain_create(call, patient, condition)
    else:
        status, stored = _plain_update(call, patient, url.removeprefix("Patient").removeprefix("/"))
    status_line = "201 Created" if status == 201 else "200 OK"
    return fhir_answer(call.sandbox, transaction_response(status_line, f"Patient/{stored['id']}"))


def _plain_create(call: Call, patient: Resource, condition: str | None) -> tuple[int, Resource]:
    _check_patient(call, patient)
    store = call.sandbox.store
    if condition is not None:
        pairs = parse_qsl(condition.removeprefix("Patient?"))
        if not pairs or any(name not in call.sandbox.matchers.table["Patient"] for name, _ in pairs):
            raise Refused(400, "invalid", "If-None-Exist needs search parameters of Patient.")
        patients = (store["Patient"].at(key) for key in store["Patient"].candidates(dict(pairs)))
        found = [each for each in patients if each and call.sandbox.matchers.matches("Patient", each, pairs)]
        if len(found) > 1:
            raise Refused(412, "multiple-matches", "If-None-Exist matches several patients.")
        if found:
            return 200, found[0]
    return 201, store.put({**patient, "id": new_id()})


def _plain_update(call: Call, patient: Resource, ecw_id: str) -> tuple[int, Resource]:
    _check_patient(call, patient)
    if patient.get("id") != ecw_id:
        raise Refused(400, "invalid", "The id in the URL and in the resource must be the same.")
    exists = call.sandbox.store["Patient"].get(ecw_id) is not None
    if not exists and not call.sandbox.settings.revives:
        raise Refused(404, "not-found", "Patient with this id is not known.")
    return 200 if exists else 201, call.sandbox.store.put(patient)


def _require_version(sandbox: Sandbox, ecw_id: str, if_match: str | None) -> None:
    """Refuse an update whose ifMatch is not the present version (https://hl7.org/fhir/R4/http.html#concurrency)."""
    stored = sandbox.store["Patient"].get(ecw_id)
    present = f'W/"{sandbox.store["Patient"].version(ecw_id)}"'
    if sandbox.settings.versions and if_match is not None and (stored is None or if_match != present):
        raise Refused(sandbox.settings.stale_status, "conflict", "The resource has another version.")


def _check_patient(call: Call, patient: Resource) -> None:
    if patient.get("resourceType") != "Patient":
        raise Refused(400, "invalid", "The body must be a Patient.")
    if not patient.get("name") and not patient.get("identifier"):
        places = ["Patient.identifier", "Patient.name"]
        raise Refused(422, "required", "US Core: a Patient needs identifier and name.", expression=places)
    if known := call.sandbox.settings.listed("meta_profiles"):
        for profile in patient.get("meta", {}).get("profile", []):
            if profile not in known:
                text = f"Profile reference '{profile}' has not been found."
                raise Refused(422, "processing", text, expression=["Patient.meta.profile[0]"])


def _only_plain(call: Call) -> None:
    if call.sandbox.settings.profile != "fhir":
        raise Refused(404, "not-supported", "Invalid request: this operation is not supported.")


async def _body(call: Call) -> dict[str, Any]:
    try:
        body = orjson.loads(await call.request.body())
    except orjson.JSONDecodeError:
        raise Refused(400, "structure", "The body is not JSON.") from None
    if not isinstance(body, dict):
        raise Refused(400, "structure", "The body must be a FHIR resource.")
    return body


def new_id() -> str:
    """Return a new id in the form of the others: 43 characters."""
    return secrets.token_urlsafe(32).replace("_", ".")
