"""`ecw mapping` from a terminal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from ecw.cli import group
from ecw.errors import ConfigurationError, MappingError
from ecw.mapping.definition.files import all_mappings, mappings_folder
from ecw.staging import batch_file, filesystem

PRACTITIONER: dict[str, Any] = {
    "resourceType": "Practitioner",
    "id": "p.1",
    "gender": "male",
    "name": [{"use": "old", "family": "Secret"}, {"use": "usual", "family": "Doe"}],
}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECW_MAPPINGS", raising=False)


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch, crm_url: str, crm_engine: Engine) -> Engine:
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    return crm_engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two of the project's mapping files, to edit."""
    shutil.copytree(mappings_folder(), tmp_path / "mappings")
    for name in ("patient", "insurance", "encounter"):
        (tmp_path / "mappings" / f"{name}.yaml").unlink()
    for file in (tmp_path / "mappings" / "crosswalks").glob("*.csv"):
        if file.stem != "gender":
            file.unlink()
    return tmp_path / "mappings"


@pytest.fixture
def staged(tmp_path: Path) -> str:
    """A staging area with two runs: what the later one has counts."""
    for run, gender in (("r1", "unknown"), ("r2", "x")):
        at = batch_file.run_folder(str(tmp_path / "staging"), "P1", run)
        batch_file.open_folder(at)
        with batch_file.writer(filesystem.join(at, "practitioner", "extract.ndjson.gz")) as batch:
            batch.write({**PRACTITIONER, "gender": gender})
            batch.write({**PRACTITIONER, "id": f"only-in-{run}"})
    return str(tmp_path / "staging")


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(group, ["mapping", *arguments], catch_exceptions=False, input=stdin)


def test_check_finds_nothing_wrong_with_the_project_s_files() -> None:
    columns = sum(len(mapping.columns) for mapping in all_mappings().values())
    told = f"5 mapping files with {columns} columns, 5 quality suites: no problems.\n"
    assert run("check", "--no-crm").output == told


def test_check_looks_at_the_crm(crm: Engine, folder: Path) -> None:
    columns = sum(len(mapping.columns) for mapping in all_mappings(folder).values())
    told = f"2 mapping files with {columns} columns, 2 quality suites: no problems.\n"
    assert run("check", "--folder", str(folder)).output == told
    with crm.begin() as connection:
        connection.execute(text("DROP VIEW practitioner_options"))
        connection.execute(text("ALTER TABLE practitioner DROP COLUMN name_text"))
    (folder / "location.yaml").write_text(
        (folder / "location.yaml").read_text().replace("managingOrganization.d", "x.d")
    )
    with pytest.raises(MappingError) as error:
        run("check", "--folder", str(folder))
    told = error.value.what.splitlines()
    assert any("column 'organization': Location has no element 'x'" in line for line in told)
    assert any("column 'name_text': the CRM's table 'practitioner' has no such column" in line for line in told)


def test_check_tells_the_mistakes_of_all_files(folder: Path) -> None:
    (folder / "location.yaml").write_text("resource: Location\n")
    (folder / "practitioner.yaml").write_text(
        (folder / "practitioner.yaml").read_text().replace("[trim]", "[trimm]", 1)
    )
    with pytest.raises(MappingError) as error:
        run("check", "--no-crm", "--folder", str(folder))
    assert "location.yaml:1:1: the key 'table' is missing" in error.value.what
    assert "'trimm' is not a value of clean" in error.value.what


def test_check_tells_the_mistakes_of_files_without_a_crm(folder: Path) -> None:
    (folder / "location.yaml").rename(folder / "location.yml")
    with pytest.raises(
        MappingError, match=r"location\.yml:1: is not read: the name of a mapping file must end in \.yaml"
    ):
        run("check", "--folder", str(folder), "--crm-conn-id", "nowhere")


def test_check_reports_the_mistakes_of_suites_with_those_of_mappings(folder: Path) -> None:
    suites = folder.parent / "quality"
    suites.mkdir()
    (suites / "location.yaml").write_text(
        "resource: location\nexpectations:\n  - type: expect_column_values_to_be_uniqe\n    meta: {on_fail: warn}\n"
    )
    (folder / "practitioner.yaml").write_text(
        (folder / "practitioner.yaml").read_text().replace("[trim]", "[trimm]", 1)
    )
    with pytest.raises(MappingError) as error:
        run("check", "--no-crm", "--folder", str(folder))
    assert "location.yaml:3:11: 'expect_column_values_to_be_uniqe' is not an expectation; did you" in error.value.what
    assert "'trimm' is not a value of clean" in error.value.what


def test_check_finds_a_crosswalk_that_nobody_uses(folder: Path) -> None:
    (folder / "crosswalks" / "gendr.csv").write_text("code,value,system,note\n")
    with pytest.raises(MappingError, match=r"gendr\.csv:1: no column uses this crosswalk"):
        run("check", "--no-crm", "--folder", str(folder))


def test_check_of_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="the folder has no mapping files"):
        run("check", "--no-crm", "--folder", str(tmp_path))


def test_preview_shows_where_each_value_lies() -> None:
    output = run("preview", "practitioner", "--input", "-", stdin=json.dumps(PRACTITIONER)).output
    line = next(line for line in output.splitlines() if line.startswith("Last Name"))
    assert line.split() == ["Last", "Name", "last_name", "Doe", "name[1].family"]


def test_preview_tells_problems_and_unmapped_codes() -> None:
    output = run("preview", "practitioner", "--input", "-", stdin=json.dumps({**PRACTITIONER, "gender": "x"})).output
    assert "Problem: gender: unmapped code: the crosswalk gender does not have the code." in output
    assert "Unmapped: the crosswalk gender does not have 'x'." in output


def test_preview_of_a_push(tmp_path: Path) -> None:
    (tmp_path / "row.ndjson").write_text('{"first_name": "Ann"}\n{"last_name": "Lee", "phone": "9135550100"}\n')
    (tmp_path / "there.json").write_text('{"resourceType": "Patient", "name": [{"use": "usual", "family": "Doe"}]}')
    arguments = ("preview", "patient", "--push", "--input", str(tmp_path / "row.ndjson"), "--line", "2")
    output = run(*arguments, "--into", str(tmp_path / "there.json")).output
    line = next(line for line in output.splitlines() if line.startswith("Phone"))
    assert line.split() == ["Phone", "phone", "9135550100", "telecom[0].value"]
    shown = json.loads(run(*arguments, "--into", str(tmp_path / "there.json"), "--json").output)
    assert shown["resource"]["name"] == [{"use": "usual", "family": "Lee"}]
    assert [one["place"] for one in shown["columns"]] == ["name[0].family", "telecom[0].value"]


def test_preview_tells_what_is_not_fhir() -> None:
    odd = {"resourceType": "Patient", "id": "p", "name": [{"family": "Doe"}], "telecom": ["secret"]}
    output = run("preview", "patient", "--input", "-", stdin=json.dumps(odd)).output
    assert "Problem: the record: not FHIR: Patient.telecom[0]: " in output
    assert "secret" not in output


@pytest.mark.parametrize("push", [(), ("--push",)])
@pytest.mark.parametrize(
    ("source", "stdin"), [("/nowhere.json", None), ("/", None), ("-", "no json"), ("-", ""), ("-", "[]"), ("-", "5")]
)
def test_preview_of_nothing(source: str, stdin: str | None, push: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="JSON"):
        run("preview", "patient", "--input", source, *push, stdin=stdin)


def test_preview_of_a_line_that_is_not_there() -> None:
    with pytest.raises(ConfigurationError, match="no JSON object in line 2"):
        run("preview", "patient", "--input", "-", "--line", "2", stdin='{"resourceType": "Patient"}\n')


def test_diff_shows_counts_and_ids(crm: Engine, staged: str) -> None:
    with crm.begin() as connection:
        connection.execute(text("INSERT INTO practitioner (ecw_id, gender) VALUES ('only-in-r1', 'Female')"))
    output = run("diff", "practitioner", "--staging", staged).output
    assert "of 3 staged records 1 would change their row, 0 would not, 1 would be new, 1 would be rejected." in output
    assert "changes in gender: 1" in output
    assert "rejected for gender: unmapped code: 1" in output
    assert "for example only-in-r1" in output
    assert "Doe" not in output
    assert json.loads(run("diff", "practitioner", "--staging", staged, "--json").output)["changed"] == 1


def test_unmapped_proposes_lines(staged: str) -> None:
    output = run("unmapped", "--staging", staged).output
    assert output == "crosswalks/gender.csv: unmapped codes 1, records rejected 1\n  x,,,seen in 1 record\n"
    [entry] = json.loads(run("unmapped", "--staging", staged, "--json").output)
    assert (entry["mapping"], entry["crosswalk"], entry["code"], entry["held_back"]) == (
        "practitioner",
        "gender",
        "x",
        1,
    )


def test_unmapped_with_nothing_staged(tmp_path: Path) -> None:
    assert run("unmapped", "--staging", str(tmp_path)).output == "Every staged code is in its crosswalk.\n"


def test_export() -> None:
    view = json.loads(run("export", "practitioner", "--viewdefinition").output)
    assert (view["resourceType"], view["resource"]) == ("ViewDefinition", "Practitioner")
    assert run("export", "practitioner").exit_code == 2


@pytest.fixture
def places(crm: Engine, tmp_path: Path) -> Path:
    """The project's mapping files, two locations that a pull brought, and the CRM's own list."""
    with crm.begin() as connection:
        connection.execute(
            text("INSERT INTO location (ecw_id, name) VALUES ('a.1', 'Main St. Clinic'), ('b.2', 'Annex')")
        )
        connection.execute(text("CREATE TABLE facility (name TEXT, active BOOLEAN)"))
        connection.execute(
            text("INSERT INTO facility VALUES ('Main St Clinic', true), ('Annexe', false), ('Gym', true)")
        )
    shutil.copytree(mappings_folder(), tmp_path / "all")
    return tmp_path / "all"


def test_a_location_crosswalk_is_proposed_from_both_sides(places: Path) -> None:
    result = CliRunner().invoke(group, ["mapping", "propose", "location", "--folder", str(places), "--write"])

    assert result.exit_code == 0, result.output
    assert "1 lines proposed, 0 to be decided" in result.output
    assert "- Location/b.2 (Annex): nothing in the CRM is like it" in result.output
    assert "Nothing in eCW means: Gym" in result.output
    written = (places / "crosswalks" / "location.csv").read_text()
    assert written == "code,value,system,note\nLocation/a.1,Main St Clinic,,eCW: Main St. Clinic\n"
    again = CliRunner().invoke(group, ["mapping", "propose", "location", "--folder", str(places)])
    assert "0 lines proposed" in again.output
    checked = CliRunner().invoke(group, ["mapping", "check", "--folder", str(places)])
    assert "Coverage: crosswalk location has 1 of eCW's 2 (location.ecw_id) and 1 of the CRM's 2" in checked.output


def test_a_crm_without_a_list_is_reported_what_enters_instead(crm: Engine) -> None:
    for crosswalk, told in (
        ("location", "eCW's own names enter"),
        ("treatment_program", "'Unassigned' enters for all"),
    ):
        result = CliRunner().invoke(group, ["mapping", "propose", crosswalk])
        assert result.exit_code == 0, result.output
        assert told in result.output


def test_a_crosswalk_that_there_is_not(crm: Engine) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'location'"):
        CliRunner().invoke(group, ["mapping", "propose", "locations"], catch_exceptions=False)
