"""Mistakes in files are reported all at once, before anything is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from ecw.errors import CrmSchemaError, MappingError
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling


def replace_text(file: Path, old: str, new: str) -> None:
    content = file.read_text()
    assert old in content
    file.write_text(content.replace(old, new, 1))


@on_sqlite
def test_a_run_with_mistakes_in_files_does_not_begin_and_names_them_all(pull: Pulling, mappings: Path) -> None:
    replace_text(mappings.parent / "quality" / "location.yaml", "column: name\n", "column: nmae\n")
    replace_text(mappings / "practitioner.yaml", "[trim]", "[trimm]")
    with pull.crm.begin() as connection:
        connection.execute(text("ALTER TABLE encounter RENAME COLUMN start_time TO began"))

    with pytest.raises(MappingError) as error:
        pull.begin()

    for message in (
        "nothing was fetched",
        "'nmae' is not a column of the mapping; did you mean 'name'?",
        "'trimm'",
        "column 'start_time'",
    ):
        assert message in error.value.what
    assert pull.rows("SELECT * FROM ecw_run") == []


@on_sqlite
def test_a_broken_suite_of_a_resource_that_the_run_does_not_pull_is_ignored(pull: Pulling, mappings: Path) -> None:
    replace_text(mappings.parent / "quality" / "location.yaml", "column: name\n", "column: nmae\n")

    assert pull.begin("manual", options={"resources": ["practitioner"]})

    with pytest.raises(MappingError, match="nmae"):
        pull.begin("manual", options={"resources": ["location"]})


@on_sqlite
def test_a_run_whose_only_problem_is_a_table_fails_with_the_schema_error(pull: Pulling, mappings: Path) -> None:
    with pull.crm.begin() as connection:
        connection.execute(text("ALTER TABLE encounter RENAME COLUMN start_time TO began"))

    with pytest.raises(CrmSchemaError, match="start_time"):
        pull.begin()
