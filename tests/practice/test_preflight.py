"""Mistakes in files are found before anything is fetched, all of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from ecw.errors import CrmSchemaError, MappingError
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling


def spoil(file: Path, old: str, new: str) -> None:
    written = file.read_text()
    assert old in written
    file.write_text(written.replace(old, new, 1))


@on_sqlite
def test_a_run_with_mistakes_in_files_does_not_begin_and_names_them_all(pull: Pulling, mappings: Path) -> None:
    spoil(mappings.parent / "quality" / "location.yaml", "column: name\n", "column: nmae\n")
    spoil(mappings / "practitioner.yaml", "[trim]", "[trimm]")
    with pull.crm.begin() as connection:
        connection.execute(text("ALTER TABLE encounter RENAME COLUMN start_time TO began"))

    with pytest.raises(MappingError) as error:
        pull.begin()

    for told in (
        "nothing was fetched",
        "'nmae' is not a column of the mapping; did you mean 'name'?",
        "'trimm'",
        "column 'start_time'",
    ):
        assert told in error.value.what
    assert pull.rows("SELECT * FROM ecw_run") == []


@on_sqlite
def test_a_broken_suite_of_a_resource_that_the_run_does_not_pull_holds_nothing_up(
    pull: Pulling, mappings: Path
) -> None:
    spoil(mappings.parent / "quality" / "location.yaml", "column: name\n", "column: nmae\n")

    assert pull.begin("manual", options={"resources": ["practitioner"]})

    with pytest.raises(MappingError, match="nmae"):
        pull.begin("manual", options={"resources": ["location"]})


@on_sqlite
def test_tables_alone_are_their_own_error(pull: Pulling, mappings: Path) -> None:
    with pull.crm.begin() as connection:
        connection.execute(text("ALTER TABLE encounter RENAME COLUMN start_time TO began"))

    with pytest.raises(CrmSchemaError, match="start_time"):
        pull.begin()
