"""The demo that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.demo import Demo, serving


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A practice of 40 patients, which has been pulled once."""
    with serving(tmp_path_factory.mktemp("demo"), PATIENTS="40", SEED="7") as demo:
        yield demo
