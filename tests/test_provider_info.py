import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import airflow
from jsonschema import Draft7Validator

from ecw.fhir.connection import EcwSettings
from ecw.provider_info import get_provider_info

FORM = get_provider_info()["connection-types"][0]


def test_airflow_finds_the_provider():
    found = [entry for entry in entry_points(group="apache_airflow_provider") if entry.value.startswith("ecw.")]
    assert [entry.load() for entry in found] == [get_provider_info]


def test_the_form_is_what_airflow_expects():
    schema = json.loads((Path(airflow.__file__).parent / "provider.yaml.schema.json").read_text())
    kind = schema["properties"]["connection-types"] | {"definitions": schema.get("definitions", {})}
    assert not list(Draft7Validator(kind).iter_errors([FORM]))


def test_every_field_of_the_form_is_a_setting_with_a_description():
    settings = set(EcwSettings.__dataclass_fields__) - {"base_url", "client_id", "read_scopes", "timeout"} | {"scopes"}
    assert set(FORM["conn-fields"]) == settings
    assert all(field["label"] and field["description"].endswith(".") for field in FORM["conn-fields"].values())


def test_secrets_are_masked_in_the_form_and_by_name_in_logs():
    from airflow._shared.secrets_masker.secrets_masker import DEFAULT_SENSITIVE_FIELDS

    secret = {name for name, field in FORM["conn-fields"].items() if field["schema"].get("format") == "password"}
    assert secret == {"private_key", "client_secret"}
    assert all(any(word in name for word in DEFAULT_SENSITIVE_FIELDS) for name in secret)


def test_the_imports_at_airflow_s_start_are_fast():
    """Every process of Airflow loads the provider while it reads its configuration."""
    code = "import sys, ecw.provider_info; ecw.provider_info.get_provider_info(); print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "ecw.provider_info" in loaded
    assert not {"airflow", "requests", "jwt", "cryptography", "sqlalchemy", "pandas", "ecw.hooks.ecw"} & set(loaded)
