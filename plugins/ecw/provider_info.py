"""The provider metadata that Airflow reads at start-up: the connection type "eClinicalWorks" and its form.

Airflow calls this while it reads its own configuration, so this module must import nothing slow.
The schema of the form is Airflow's provider.yaml.schema.json, `connection-types`.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

PACKAGE = "airflow-ecw-crm"


def get_provider_info() -> dict[str, Any]:
    """Return the provider metadata; the fields of the form are those that ecw.fhir.connection reads."""
    return {
        "package-name": PACKAGE,
        "name": "eClinicalWorks to CRM",
        "description": "Keeps a CRM and eClinicalWorks in step.",
        "versions": [version(PACKAGE)],
        "connection-types": [
            {
                "connection-type": "ecw",
                "hook-class-name": "ecw.hooks.ecw.EcwHook",
                "hook-name": "eClinicalWorks",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "password"],
                    # The base URL holds the port. Airflow 3.3.2 shows the field only because its Test button refuses a
                    # connection without one (it compares 0 with nothing): https://github.com/apache/airflow/pull/73298
                    "relabeling": {"host": "Base URL", "login": "Client id", "port": "Port (always 0)"},
                    "placeholders": {
                        "port": "0: Airflow 3.3.2 cannot test a connection without it; the base URL holds the real one",
                        "host": "https://fhir4.eclinicalworks.com/fhir/r4/<practice code>",
                        "login": "the client id of the app registered with eClinicalWorks",
                    },
                },
                "conn-fields": _fields(),
            }
        ],
    }


def _fields() -> dict[str, Any]:
    return {
        "private_key": _secret(
            "Private key",
            "The PEM text of the RSA key that signs token requests, or the path of its file on every worker.",
        ),
        "key_id": _text("Key id", "The `kid` of the public key in the JWKS."),
        "jwks_url": _text(
            "JWKS URL",
            "Where the public key is published. Test Connection compares it with the private key. "
            "Leave it empty if only eClinicalWorks can reach that address.",
        ),
        "client_secret": _secret("Client secret", "Instead of a private key, for an app registered with a secret."),
        "scopes": _text(
            "Scopes to read",
            "Replaces the default scopes; separated by blanks. If the app lacks one of them, eCW refuses every token.",
        ),
        "write_scopes": _text("Scopes to write", "Replaces system/Patient.c system/Patient.u."),
        "bulk_scopes": _text("Scopes of exports", "Replaces system/Group.read and the scopes to read."),
        "token_url": _text("Token URL", "Only if the practice's own discovery names the wrong one."),
        "audience": _text("Audience", "Only if the practice expects another `aud` than the token URL."),
        "file_urls": _text(
            "Addresses of exports",
            "Only if the status or the files of exports are outside the base URL: the URLs they begin with.",
        ),
        "calls_per_minute": {
            "label": "Calls a minute",
            "description": "The practice's quota per clock minute, token calls included.",
            "schema": {"type": ["integer", "null"], "default": 250, "minimum": 1},
        },
    }


def _text(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}


def _secret(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], "format": "password"}}
