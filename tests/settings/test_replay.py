"""The options of a replay and of crm_vob: a run sets only its form's fields, and no limit of the connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ecw.errors import ConfigurationError
from ecw.settings.replay import FORM, ReplayOptions
from ecw.vob import steps

LIMITS = {"max_creates": 10**6, "approvers": [], "test_patient": "x", "max_requests_per_load": 10**6, "limit": 0}


@pytest.mark.parametrize("name", sorted(LIMITS))
@pytest.mark.parametrize("read", [ReplayOptions.read, lambda form: steps.open_by_form("ecw_default", form)])
def test_a_run_cannot_set_an_option_that_its_form_does_not_have(read: Callable[[Any], Any], name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"sent a field that the form of a [\w ]+ does not have"):
        read({name: LIMITS[name]})


def test_the_fields_of_a_replays_form_are_read() -> None:
    assert set(FORM) == {"resources", "rule", "run", "ids"}
    assert ReplayOptions.read({"ids": ["a"], "run": None}) == ReplayOptions(ids=["a"])
