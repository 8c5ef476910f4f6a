"""The options of a push: a run sets only its form's fields, and never exceeds the connection's limits."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecw.errors import ConfigurationError
from ecw.operators.push_params import PARAMS
from ecw.settings.push import FORM, PushOptions

GUARDED = sorted({each.name for each in fields(PushOptions)} - set(FORM))
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


def test_an_unchanged_form_leaves_the_connections_options() -> None:
    expected = PushOptions(**CONNECTION, mr_numbers=True)  # type: ignore[arg-type]  # a connection may use MR numbers
    assert PushOptions.read(CONNECTION, untouched()) == PushOptions.read(CONNECTION, None) == expected


@pytest.mark.parametrize("name", GUARDED)
@pytest.mark.parametrize("value", [0, 10**6, "", [], False, ["anybody"], None])
def test_a_run_cannot_change_an_option_that_is_for_the_connection_alone(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name!r} of a push may be set only in the connection"):
        PushOptions.read(CONNECTION, untouched() | {name: value})


def test_an_unknown_option_is_refused_and_not_quoted() -> None:
    with pytest.raises(ConfigurationError, match="sent a field that the form of a push does not have") as error:
        PushOptions.read(None, {"Maria Lopez": 1})
    assert "Lopez" not in str(error.value)
    with pytest.raises(ConfigurationError, match=r"no field 'patient'.*did you mean 'patients'"):
        PushOptions.read(None, {"patient": ["1"]})


@given(
    connection=st.fixed_dictionaries(
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
def test_a_run_exceeds_neither_the_connection_nor_its_form(connection: dict[str, Any], form: dict[str, Any]) -> None:
    options = PushOptions.read(connection | {"test_patient": "crm:9"}, form)

    for source in (connection, form):
        assert not source.get("limit") or 0 < options.limit <= source["limit"]
        assert options.dry_run >= bool(source.get("dry_run"))
        assert options.test_only >= bool(source.get("test_only"))
        assert not source.get("only") or options.only == source["only"]
        assert not source.get("patients") or (options.patients and set(options.patients) <= set(source["patients"]))


@pytest.mark.parametrize(
    ("connection", "form", "message"),
    [
        ({"only": "update"}, {"only": "create"}, "allows `only` update"),
        ({"patients": ["crm:1"]}, {"patients": ["crm:1", "crm:2"]}, "other than those"),
    ],
)
def test_a_run_cannot_select_what_the_connection_excludes(
    connection: dict[str, Any], form: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PushOptions.read(connection, form)


def test_a_zero_in_the_connection_is_not_replaced_by_the_default() -> None:
    assert PushOptions.read({"max_creates": 0, "unknown_outcome_wait_seconds": 0}, untouched()).max_creates == 0
