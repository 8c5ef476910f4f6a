"""The form of the Trigger button, from the model that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict

if TYPE_CHECKING:
    from airflow.sdk import DAG


def params(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Param]:
    """Return Airflow's Params of the fields of a form, whose defaults are valid: see ecw.settings.base.form_fields."""
    found = {name: Param(**field) for name, field in fields.items()}
    ParamsDict(found).validate()
    return found


def give(dag: DAG, form: Mapping[str, Param]) -> None:
    """Give a DAG the form of `params`, once its tasks are there: each task would copy the form.

    Past the setter of Airflow's DAG, which validates the form anew for each practice: most of what a practice adds.
    """
    object.__setattr__(dag, "params", ParamsDict(form))
