"""A run says what its form has, and is never wider than the connection lets it be."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecw.errors import ConfigurationError
from ecw.operators.push_params import PARAMS
from ecw.settings.push import FORM, Wanted

GUARDED = sorted({each.name for each in fields(Wanted)} - set(FORM))
CONNECTION = {
    "max_creates": 7,
    "limit": 3,
    "test_patient": "crm:9",
    "dry_run": True,
    "unknown_outcome_wait_seconds": 0.5,
}


def untouched() -> dict[str, Any]:
    return {name: param.value for name, param in PARAMS.items()}


def test_the_form_and_its_reader_have_the_same_fields() -> None:
    assert set(PARAMS) == set(FORM)


def test_a_form_that_nobody_touched_says_nothing() -> None:
    said = Wanted(**CONNECTION, mr_numbers=True)  # type: ignore[arg-type]  # the connection names whom it likes
    assert Wanted.read(CONNECTION, untouched()) == Wanted.read(CONNECTION, None) == said


@pytest.mark.parametrize("name", GUARDED)
@pytest.mark.parametrize("value", [0, 10**6, "", [], False, ["anybody"], None])
def test_a_run_lifts_no_guard_whatever_it_sends(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name!r} of a push may be set only in the connection"):
        Wanted.read(CONNECTION, untouched() | {name: value})


def test_what_is_no_option_at_all_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match="sent a field that the form of a push does not have") as error:
        Wanted.read(None, {"Maria Lopez": 1})
    assert "Lopez" not in str(error.value)
    with pytest.raises(ConfigurationError, match=r"no field 'patient'.*did you mean 'patients'"):
        Wanted.read(None, {"patient": ["1"]})


@given(
    said=st.fixed_dictionaries(
        {"limit": st.integers(0, 9), "dry_run": st.booleans(), "test_only": st.booleans()},
        optional={"only": st.sampled_from(["", "create"]), "patients": st.just(["crm:1", "crm:2"])},
    ),
    form=st.fixed_dictionaries(
        {},
        optional={
            "limit": st.none() | st.integers(0, 9),
            "dry_run": st.booleans(),
            "test_only": st.booleans(),
            "only": st.sampled_from(["", "create", None]),
            "patients": st.sampled_from([[], None, ["crm:1"]]),
        },
    ),
)
def test_a_run_is_at_most_as_wide_as_the_connection_and_as_its_form(said: dict[str, Any], form: dict[str, Any]) -> None:
    wanted = Wanted.read(said | {"test_patient": "crm:9"}, form)

    for source in (said, form):
        assert not source.get("limit") or 0 < wanted.limit <= source["limit"]
        assert wanted.dry_run >= bool(source.get("dry_run"))
        assert wanted.test_only >= bool(source.get("test_only"))
        assert not source.get("only") or wanted.only == source["only"]
        assert not source.get("patients") or (wanted.patients and set(wanted.patients) <= set(source["patients"]))


@pytest.mark.parametrize(
    ("said", "form", "what"),
    [
        ({"only": "update"}, {"only": "create"}, "allows `only` update"),
        ({"patients": ["crm:1"]}, {"patients": ["crm:1", "crm:2"]}, "other than those"),
    ],
)
def test_what_the_connection_leaves_out_no_run_takes_in(said: dict[str, Any], form: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        Wanted.read(said, form)


def test_what_the_connection_says_counts_though_it_is_nothing() -> None:
    assert Wanted.read({"max_creates": 0, "unknown_outcome_wait_seconds": 0}, untouched()).max_creates == 0
