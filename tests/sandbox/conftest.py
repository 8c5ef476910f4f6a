"""Fixtures of the sandbox's tests."""

from __future__ import annotations

import pytest

from tests.fixtures.keys import Keys
from tests.fixtures.sandbox import RunningSandbox
from tests.sandbox.calling import Caller


@pytest.fixture
def caller(sandbox: RunningSandbox, keys: Keys) -> Caller:
    return Caller(sandbox, keys)
