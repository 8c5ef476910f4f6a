"""The server's description of itself: /metadata and /.well-known/smart-configuration, both without a token."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from include.sandbox.bundles import fhir_answer
from include.sandbox.endpoints.serving import Call
from include.sandbox.oauth import known_scopes
from include.sandbox.population import US_CORE
from include.sandbox.profiles import DECLARED, READ_BY_PATH, declared
from include.sandbox.sandbox import Sandbox

_TYPES = {
    "_id": "token",
    "_lastUpdated": "date",
    "_count": "number",
    "address": "string",
    "birthdate": "date",
    "date": "date",
    "family": "string",
    "gender": "token",
    "given": "string",
    "identifier": "token",
    "location": "reference",
    "name": "string",
    "page": "number",
    "patient": "reference",
    "phone": "token",
    "practitioner": "reference",
    "type": "token",
}


async def metadata(call: Call) -> Response:
    return fhir_answer(call.sandbox, statement(call.sandbox))


async def smart(call: Call) -> Response:
    sandbox = call.sandbox
    return JSONResponse(
        {
            "issuer": sandbox.base_url,
            "token_endpoint": sandbox.token_url,
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS384"],
            "grant_types_supported": ["client_credentials"],
            "scopes_supported": sorted(known_scopes(sandbox.settings)),
            "response_types_supported": ["token"],
            "capabilities": ["client-confidential-asymmetric", "client-confidential-symmetric"],
        }
    )


def statement(sandbox: Sandbox) -> dict[str, Any]:
    """Return the CapabilityStatement."""
    plain = sandbox.settings.profile == "fhir"
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-01",
        "publisher": "eClinicalWorks sandbox",
        "kind": "instance",
        "software": {"name": "plain FHIR server" if plain else "eClinicalWorks", "version": sandbox.settings.build},
        "implementation": {"description": "A sandbox, not a real practice", "url": sandbox.base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json" if plain else "json"],
        "instantiates": ["http://hl7.org/fhir/us/core/CapabilityStatement/us-core-server"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "extension": [
                        {
                            "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                            "extension": [{"url": "token", "valueUri": sandbox.token_url}],
                        }
                    ],
                    "service": [
                        {
                            "coding": [
                                {
                                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                                    "code": "SMART-on-FHIR",
                                }
                            ]
                        }
                    ],
                },
                "resource": [_resource(sandbox, kind, plain) for kind in DECLARED],
            }
        ],
    }


def _resource(sandbox: Sandbox, kind: str, plain: bool) -> dict[str, Any]:
    interactions = ["read", "search-type"] if plain or kind in READ_BY_PATH else ["search-type"]
    entry: dict[str, Any] = {"type": kind}
    if plain and kind == "Patient":  # eCW's write API is not in its statement
        interactions += ["create", "update"]
        entry |= {"conditionalCreate": True, "updateCreate": False}
        entry["supportedProfile"] = sandbox.settings.listed("meta_profiles") or [f"{US_CORE}/us-core-patient"]
    entry["interaction"] = [{"code": code} for code in interactions]
    entry["searchParam"] = [{"name": name, "type": _TYPES[name]} for name in declared(kind, sandbox.settings)]
    if kind == "Group":
        definition = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/group-export"
        entry["operation"] = [{"name": "export", "definition": definition}]
    return entry
