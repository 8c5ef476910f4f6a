"""The form of the Trigger button, from the model that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param


def params(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Param]:
    """Return Airflow's Params of the fields of a form: see ecw.settings.base.form_fields."""
    return {name: Param(**field) for name, field in fields.items()}
