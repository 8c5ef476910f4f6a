"""The form of the Trigger button, built from the options model that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict

if TYPE_CHECKING:
    from airflow.sdk import DAG


def params(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Param]:
    """Return Airflow's Params for the fields of a form, with valid defaults: see ecw.settings.base.form_fields."""
    form = {name: Param(**field) for name, field in fields.items()}
    ParamsDict(form).validate()
    return form


def give(dag: DAG, form: Mapping[str, Param]) -> None:
    """Give a DAG its Trigger form. Call it after the tasks are defined: each later task would copy the form.

    This bypasses the setter of Airflow's DAG, which validates the form again for each practice: most of the parsing
    time that a practice adds.
    """
    object.__setattr__(dag, "params", ParamsDict(form))
