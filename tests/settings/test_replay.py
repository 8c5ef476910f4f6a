"""What a replay's run, and one of crm_vob, may say: the fields of its form, and nothing that lifts a guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ecw.errors import ConfigurationError
from ecw.settings.replay import FORM, ReplayOptions
from ecw.vob import steps

GUARDS = {"max_creates": 10**6, "approvers": [], "test_patient": "x", "max_requests_per_load": 10**6, "limit": 0}


@pytest.mark.parametrize("name", sorted(GUARDS))
@pytest.mark.parametrize("read", [ReplayOptions.read, lambda form: steps.open_by_form("ecw_default", form)])
def test_a_run_sets_nothing_that_its_form_does_not_have(read: Callable[[Any], Any], name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"sent a field that the form of a (replay|run of crm_vob) does not have"
    ):
        read({name: GUARDS[name]})


def test_what_a_replays_form_has_is_read() -> None:
    assert set(FORM) == {"resources", "rule", "run", "ids"}
    assert ReplayOptions.read({"ids": ["a"], "run": None}) == ReplayOptions(ids=["a"])
