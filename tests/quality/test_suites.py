"""The suites of include/quality fit the mappings they stand beside."""

from __future__ import annotations

import pytest

from ecw.mapping.files import load_mapping
from ecw.pull.suite import load_suite, suite_path
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


def test_the_readme_names_every_check() -> None:
    text = (suite_path("practitioner").parent / "README.md").read_text()

    for check in ("not_null", "unique", "in", "pattern", "length", "range", "date"):
        assert f"| `{check}` |" in text
