"""Every options model: each key has one description, for the reader, the form and the reference."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecw.alerts.conditions import Thresholds
from ecw.alerts.settings import Settings
from ecw.errors import ConfigurationError
from ecw.operators import pull_params, push_params, replay_params
from ecw.settings import pull, push, replay
from ecw.settings.base import described, validated
from ecw.vob.settings import VobSettings

MODELS: list[Any] = [pull.Options, push.PushOptions, replay.ReplayOptions, VobSettings, Settings, Thresholds]
FORMS = [
    (pull, pull_params, pull.Options),
    (push, push_params, push.PushOptions),
    (replay, replay_params, replay.ReplayOptions),
]


@pytest.mark.parametrize("model", MODELS)
def test_every_key_has_a_description_and_a_valid_default(model: Any) -> None:
    keys = list(described(model))
    assert keys
    assert all(description for _, _, description in keys)
    assert model(**{name: default for name, default, _ in keys}) == model()


@pytest.mark.parametrize("model", MODELS)
def test_a_misspelt_key_is_refused_with_the_correct_one(model: Any) -> None:
    for name, default, _ in described(model):
        with pytest.raises(ConfigurationError, match=f"did you mean '{name}'") as error:
            validated(model, {name + "s_": default}, of="pull", where="the connection")
        assert "There is no option" in str(error.value)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("value", [{"Maria Lopez": 1}, ["Maria Lopez", {}], 1.5j])
def test_the_error_about_a_wrong_value_names_its_key_and_does_not_quote_the_value(model: Any, value: Any) -> None:
    for name, *_ in described(model):
        if name in ("ids", "strategies", "intake_open", "thresholds"):  # objects: their keys are resources or columns
            continue
        with pytest.raises(ConfigurationError, match=f"'{name}'.* should ") as error:
            validated(model, {name: value}, of="pull", where="the connection")
        assert "Lopez" not in str(error.value)


@pytest.mark.parametrize(("settings", "operator", "model"), FORMS)
def test_the_form_has_the_fields_of_the_model_that_reads_it(settings: Any, operator: Any, model: Any) -> None:
    names = {name for name, *_ in described(model)}
    assert list(operator.PARAMS) == list(settings.FORM) == list(settings.FIELDS)
    assert {name for name in settings.FORM if not name.startswith("strategy_")} <= names
    for name, param in operator.PARAMS.items():
        param.resolve()
        assert param.schema["title"], name
        assert param.description, name
        json.dumps(param.dump())
