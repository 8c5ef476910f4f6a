"""`ecw mapping check` reports every problem of the files and of the CRM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import Engine, text

from ecw.errors import MappingError
from ecw.mapping.definition.files import all_mappings

Run = Callable[..., Result]


def test_the_projects_files_have_no_problems(run: Run) -> None:
    columns = sum(len(mapping.columns) for mapping in all_mappings().values())
    message = f"5 mapping files with {columns} columns, 5 quality suites: no problems.\n"
    assert run("check", "--no-crm").output == message


def test_columns_that_the_crm_lacks_are_reported_with_the_problems_of_the_files(
    run: Run, crm: Engine, folder: Path
) -> None:
    columns = sum(len(mapping.columns) for mapping in all_mappings(folder).values())
    message = f"2 mapping files with {columns} columns, 2 quality suites: no problems.\n"
    assert run("check", "--folder", str(folder)).output == message
    with crm.begin() as connection:
        connection.execute(text("DROP VIEW practitioner_options"))
        connection.execute(text("ALTER TABLE practitioner DROP COLUMN name_text"))
    (folder / "location.yaml").write_text(
        (folder / "location.yaml").read_text().replace("managingOrganization.d", "x.d")
    )
    with pytest.raises(MappingError) as error:
        run("check", "--folder", str(folder))
    lines = error.value.what.splitlines()
    assert any("column 'organization': Location has no element 'x'" in line for line in lines)
    assert any("column 'name_text': the CRM's table 'practitioner' has no such column" in line for line in lines)


def test_the_problems_of_all_files_are_reported_at_once(run: Run, folder: Path) -> None:
    (folder / "location.yaml").write_text("resource: Location\n")
    (folder / "practitioner.yaml").write_text(
        (folder / "practitioner.yaml").read_text().replace("[trim]", "[trimm]", 1)
    )
    with pytest.raises(MappingError) as error:
        run("check", "--no-crm", "--folder", str(folder))
    assert "location.yaml:1:1: the key 'table' is missing" in error.value.what
    assert "'trimm' is not a value of clean" in error.value.what


def test_problems_of_files_are_reported_without_a_crm(run: Run, folder: Path) -> None:
    (folder / "location.yaml").rename(folder / "location.yml")
    with pytest.raises(
        MappingError, match=r"location\.yml:1: is not read: the name of a mapping file must end in \.yaml"
    ):
        run("check", "--folder", str(folder), "--crm-conn-id", "nowhere")


def test_problems_of_suites_and_mappings_are_reported_together(run: Run, folder: Path) -> None:
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


def test_a_crosswalk_without_a_column_is_reported(run: Run, folder: Path) -> None:
    (folder / "crosswalks" / "gendr.csv").write_text("code,value,system,note\n")
    with pytest.raises(MappingError, match=r"gendr\.csv:1: no column uses this crosswalk"):
        run("check", "--no-crm", "--folder", str(folder))


def test_an_empty_folder_is_an_error(run: Run, tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="the folder has no mapping files"):
        run("check", "--no-crm", "--folder", str(tmp_path))
