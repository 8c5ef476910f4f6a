"""The suites of include/quality fit the mappings they stand beside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ecw.errors import MappingError
from ecw.mapping.definition.files import load_mapping
from ecw.quality.suite import load_suite, suite_path
from ecw.resources import RESOURCES


def test_every_file_belongs_to_a_resource() -> None:
    files = sorted(path.stem for path in suite_path("practitioner").parent.glob("*.yaml"))

    assert files
    assert files == sorted(RESOURCES)


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_suite_names_columns_of_its_mapping(resource: str) -> None:
    suite = load_suite(suite_path(resource), [column.name for column in load_mapping(resource).pulled])

    assert suite.resource == resource
    assert suite.rules


def test_the_readme_names_every_check(tmp_path: Path) -> None:
    """The checks are those that a mistake is answered with."""
    file = tmp_path / "person.yaml"
    file.write_text("resource: person\nrules: [{column: name, otherwise: warn}]")
    with pytest.raises(MappingError) as error:
        load_suite(file, ["name"])
    [checks] = re.findall(r"a rule has one check \(([^)]*)\)", str(error.value))
    text = (suite_path("practitioner").parent / "README.md").read_text()

    assert len(checks.split(", ")) == 9
    for check in checks.split(", "):
        assert f"| `{check}` |" in text
