"""The suites of include/quality fit their mappings."""

from __future__ import annotations

import pytest

from ecw.mapping.definition.files import load_mapping
from ecw.quality.suite import suite_of, suite_path
from ecw.resources import RESOURCES


def test_every_file_belongs_to_a_resource() -> None:
    files = sorted(path.stem for path in suite_path("practitioner").parent.glob("*.yaml"))

    assert files
    assert files == sorted(RESOURCES)


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_suite_fits_its_mapping_and_great_expectations_accepts_it(resource: str) -> None:
    from ecw.quality.gx_runner import compiled

    suite = suite_of(resource, load_mapping(resource))

    assert suite.resource == resource
    assert suite.rules
    assert len(compiled(suite).row.rules) + len(compiled(suite).batch.rules) == len(suite.rules)
