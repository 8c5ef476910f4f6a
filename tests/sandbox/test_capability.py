"""The sandbox's capability statement and SMART configuration."""

from __future__ import annotations

import requests
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

# The search parameters of eCW's reference.
TABLE = {
    "Practitioner": ["_id", "identifier", "name", "page"],
    "Location": ["_id", "address", "name", "page"],
    "Patient": ["_id", "birthdate", "family", "gender", "given", "identifier", "name", "page", "phone"],
    "Coverage": ["_id", "patient"],
    "Encounter": ["_id", "date", "location", "page", "patient", "practitioner"],
    "Organization": ["_id", "address", "name", "type", "page"],
    "Group": ["page"],
}


def statement(sandbox) -> dict:
    answer = requests.get(f"{sandbox.base_url}/metadata", timeout=600)
    assert answer.status_code == 200, "metadata needs no token"
    return answer.json()


def declared(sandbox) -> dict[str, list[str]]:
    return {
        each["type"]: [param["name"] for param in each["searchParam"]]
        for each in statement(sandbox)["rest"][0]["resource"]
    }


def test_the_statement_is_valid_and_declares_the_parameters_of_the_reference(sandbox):
    CapabilityStatement.model_validate(statement(sandbox))
    assert declared(sandbox) == TABLE


def test_the_statement_does_not_declare_writes(sandbox):
    codes = {code["code"] for each in statement(sandbox)["rest"][0]["resource"] for code in each["interaction"]}
    assert codes == {"read", "search-type"}


def test_both_documents_name_the_same_token_url_on_another_port(sandbox):
    smart = requests.get(f"{sandbox.base_url}/.well-known/smart-configuration", timeout=600).json()
    security = statement(sandbox)["rest"][0]["security"]["extension"][0]
    assert security["url"].endswith("/oauth-uris")
    assert security["extension"][0] == {"url": "token", "valueUri": sandbox.token_url}
    assert smart["token_endpoint"] == sandbox.token_url
    assert smart["token_endpoint_auth_signing_alg_values_supported"] == ["RS384"]
    assert "system/Coverage.r" in smart["scopes_supported"]
    assert "system/Coverage.read" not in smart["scopes_supported"]
    assert not sandbox.token_url.startswith(sandbox.base_url.partition("/fhir")[0])


def test_a_parameter_can_be_removed_and_the_build_changed(sandbox):
    sandbox.set(undeclared="Encounter.date,Patient.phone", build="13.0.0")
    assert "date" not in declared(sandbox)["Encounter"]
    assert "phone" not in declared(sandbox)["Patient"]
    assert statement(sandbox)["software"]["version"] == "13.0.0"


def test_a_removed_parameter_is_refused(caller):
    caller.sandbox.set(undeclared="Encounter.date")
    answer = caller.get("Encounter?practitioner=x&date=ge2026-11-01&date=lt2026-12-01")
    assert answer.status_code == 400
    assert "parameter(s): date." in answer.text


def test_public_urls_replace_the_real_ones(sandbox):
    sandbox.set(public_url="https://fhir.example", public_token_url="https://oauth.example/oauth/oauth2/token")
    smart = requests.get(f"{sandbox.base_url}/.well-known/smart-configuration", timeout=600).json()
    assert smart["token_endpoint"] == "https://oauth.example/oauth/oauth2/token"
    assert statement(sandbox)["implementation"]["url"] == f"https://fhir.example/fhir/r4/{sandbox.practice}"
