"""The form of a DAG is validated once, when it is defined, and not again for each practice."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

from ecw.operators.form import give, params
from ecw.operators.pull_params import PARAMS


def test_a_default_that_the_form_would_refuse_is_an_error_when_the_form_is_defined() -> None:
    with pytest.raises(ParamValidationError, match="Invalid input for param calls"):
        params({"calls": {"default": "many", "type": "integer"}})


def test_each_dag_has_its_own_copy_of_the_form_and_its_validation() -> None:
    north, south = DAG("north", schedule=None), DAG("south", schedule=None)
    for dag in (north, south):
        give(dag, PARAMS)
        assert set(dag.params) == set(PARAMS)
    with pytest.raises(ParamValidationError):
        north.params["dry_run"] = "perhaps"
    assert north.params is not south.params
