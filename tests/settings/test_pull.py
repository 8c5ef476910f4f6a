"""The options of a pull, from the connection and from the run's form."""

from __future__ import annotations

from dataclasses import fields

import pytest

from ecw.errors import ConfigurationError
from ecw.operators.pull_params import PARAMS
from ecw.settings.pull import FORM, Options, of_form, require_within


def test_without_any_options_the_defaults_apply() -> None:
    assert Options.read(None, "", {}) == Options()


def test_the_form_overrides_the_connection_key_by_key() -> None:
    options = Options.read('{"max_concurrency": 4, "look_back_days": 7}', {"look_back_days": 2, "full": None})

    assert (options.max_concurrency, options.look_back_days, options.full) == (4, 2, False)


def test_an_unchanged_form_leaves_the_connections_options() -> None:
    untouched = {name: param.value for name, param in PARAMS.items()}
    connection = {"strategies": {"encounter": "per_patient"}, "ignore_time_budget": True}
    assert untouched.keys() > {"strategy_encounter", "ignore_time_budget", "mode"}

    assert Options.read(connection, untouched) == Options(
        strategies={"encounter": "per_patient"}, ignore_time_budget=True
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"look_bak_days": 3}, "There is no option 'look_bak_days' of a pull.*did you mean 'look_back_days'?"),
        ({"max_concurrency": "many"}, "The option 'max_concurrency' of a pull should be a valid integer"),
        ({"max_concurrency": 0}, "should be greater than or equal to 1"),
        ({"full": "yes"}, "The option 'full' of a pull should be a valid boolean"),
        ({"strategies": {"pateint": "list"}}, "There is no resource 'pateint'"),
        ({"strategies": {"encounter": 5}}, "'strategies' \\(encounter\\) of a pull should be a valid string"),
        ({"ids": {"patient": "abc"}}, "'ids' \\(patient\\) of a pull should be a valid list"),
        ({"ids": {"patient": []}}, "'ids' \\(patient\\) of a pull should have at least 1 item"),
        ({"ids": {"patient": ["a", 1]}}, "'ids' \\(patient, 2\\) of a pull should be a valid string"),
        ({"mode": "chnages"}, "'mode' of a pull should be 'changes', 'full', 'patients' or 'schedule'"),
        ({"resources": ["pateint"]}, "There is no resource 'pateint'.*did you mean 'patient'"),
        ({"resources": "patient"}, "The option 'resources' of a pull should be a valid list"),
        ({"patients": [7]}, "'patients' \\(1\\) of a pull should be a valid string"),
        ({"overlap_minutes": -1}, "'overlap_minutes' of a pull should be greater than or equal to 0"),
        ("[1]", "not a JSON object"),
        ("{", "not a JSON object"),
    ],
)
def test_the_error_about_a_wrong_option_names_it(source: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Options.read(source)  # type: ignore[arg-type]  # a wrong type on purpose


def test_the_fields_of_the_form_become_options() -> None:
    filled = {
        **{name: param.value for name, param in PARAMS.items()},
        "mode": "patients",
        "patients": ["  4711 ", "", "4711", "4712"],
        "strategy_encounter": "per_patient",
    }

    assert Options.read({"strategies": {"patient": "bulk"}}, filled) == Options(
        mode="patients", patients=["4711", "4712"], strategies={"encounter": "per_patient"}
    )


def test_all_wrong_options_are_reported_at_once_and_no_value_is_quoted() -> None:
    with pytest.raises(ConfigurationError) as error:
        Options.read({"max_concurrency": "Maria Lopez", "full": "Maria Lopez", "patients": [["Maria Lopez"]]})
    for name in ("max_concurrency", "full", "patients"):
        assert name in str(error.value)
    assert "Lopez" not in str(error.value)


def test_the_mode_full_sets_the_option_full() -> None:
    assert Options.read({"mode": "full"}).full is True
    assert Options.read({"mode": "changes"}).full is False


def test_an_overlap_of_zero_minutes_is_allowed() -> None:
    assert Options.read({"overlap_minutes": 0}).overlap_minutes == 0


def test_every_field_of_the_form_has_a_title_and_help() -> None:
    assert len(PARAMS) > 10
    for name, param in PARAMS.items():
        assert param.description, name
        assert param.schema["title"], name


def test_an_unchanged_form_gives_no_options() -> None:
    untouched = {name: param.value for name, param in PARAMS.items()}
    assert of_form(untouched) == {}
    assert set(PARAMS) == set(FORM)
    connection = {"mode": "full", "resources": ["patient"], "strategies": {"patient": "list"}, "dry_run": True}
    assert Options.read(connection, of_form(untouched)) == Options.read(connection)


@pytest.mark.parametrize("name", sorted({each.name for each in fields(Options)} - set(FORM)))
def test_a_run_cannot_set_an_option_that_its_form_does_not_have(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name!r} of a pull may be set only in the connection"):
        of_form({name: getattr(Options(), name)})


def test_a_run_cannot_exceed_the_limits_of_the_connection() -> None:
    limits = {"resources": ["patient", "insurance"], "ignore_time_budget": False}
    require_within(limits, Options(resources=["patient"]))
    require_within(None, Options(resources=["location"], ignore_time_budget=True))
    with pytest.raises(ConfigurationError, match="asks for location"):
        require_within(limits, Options(resources=["patient", "location"]))
    with pytest.raises(ConfigurationError, match="would not end before the next"):
        require_within(limits, Options(ignore_time_budget=True))
    assert Options.read({"dry_run": True}, of_form({"dry_run": False})).dry_run
