"""`ecw mapping preview` and `ecw mapping export`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from ecw.errors import ConfigurationError

Run = Callable[..., Result]


def test_a_preview_shows_the_path_of_each_value(run: Run, practitioner: dict[str, Any]) -> None:
    output = run("preview", "practitioner", "--input", "-", stdin=json.dumps(practitioner)).output
    line = next(line for line in output.splitlines() if line.startswith("Last Name"))
    assert line.split() == ["Last", "Name", "last_name", "Doe", "name[1].family"]


def test_a_preview_shows_problems_and_unmapped_codes(run: Run, practitioner: dict[str, Any]) -> None:
    output = run("preview", "practitioner", "--input", "-", stdin=json.dumps({**practitioner, "gender": "x"})).output
    assert "Problem: gender: unmapped code: the crosswalk gender does not have the code." in output
    assert "Unmapped: the crosswalk gender does not have 'x'." in output


def test_a_preview_of_a_push_shows_the_updated_resource(run: Run, tmp_path: Path) -> None:
    (tmp_path / "row.ndjson").write_text('{"first_name": "Ann"}\n{"last_name": "Lee", "phone": "9135550100"}\n')
    (tmp_path / "in_ecw.json").write_text('{"resourceType": "Patient", "name": [{"use": "usual", "family": "Doe"}]}')
    arguments = ("preview", "patient", "--push", "--input", str(tmp_path / "row.ndjson"), "--line", "2")
    output = run(*arguments, "--into", str(tmp_path / "in_ecw.json")).output
    line = next(line for line in output.splitlines() if line.startswith("Phone"))
    assert line.split() == ["Phone", "phone", "9135550100", "telecom[0].value"]
    preview = json.loads(run(*arguments, "--into", str(tmp_path / "in_ecw.json"), "--json").output)
    assert preview["resource"]["name"] == [{"use": "usual", "family": "Lee"}]
    assert [one["place"] for one in preview["columns"]] == ["name[0].family", "telecom[0].value"]


def test_a_preview_reports_invalid_fhir_without_its_values(run: Run) -> None:
    invalid = {"resourceType": "Patient", "id": "p", "name": [{"family": "Doe"}], "telecom": ["secret"]}
    output = run("preview", "patient", "--input", "-", stdin=json.dumps(invalid)).output
    assert "Problem: the record: not FHIR: Patient.telecom[0]: " in output
    assert "secret" not in output


@pytest.mark.parametrize("push", [(), ("--push",)])
@pytest.mark.parametrize(
    ("source", "stdin"), [("/nowhere.json", None), ("/", None), ("-", "no json"), ("-", ""), ("-", "[]"), ("-", "5")]
)
def test_input_without_a_json_object_is_an_error(
    run: Run, source: str, stdin: str | None, push: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigurationError, match="JSON"):
        run("preview", "patient", "--input", source, *push, stdin=stdin)


def test_a_line_beyond_the_end_of_the_file_is_an_error(run: Run) -> None:
    with pytest.raises(ConfigurationError, match="no JSON object in line 2"):
        run("preview", "patient", "--input", "-", "--line", "2", stdin='{"resourceType": "Patient"}\n')


def test_a_mapping_is_exported_as_a_viewdefinition(run: Run) -> None:
    view = json.loads(run("export", "practitioner", "--viewdefinition").output)
    assert (view["resourceType"], view["resource"]) == ("ViewDefinition", "Practitioner")
    assert run("export", "practitioner").exit_code == 2
