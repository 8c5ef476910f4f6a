"""The strategy is the best one that the server declares, unless another one is configured."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ecw.errors import ConfigurationError
from ecw.fhir.capability import Capability, Declared
from ecw.pull.plan.select_strategy import Choice, choose
from ecw.resources import Resource
from ecw.settings.pull import Options

ENCOUNTER = Resource("encounter", "Encounter", ("last_updated", "schedule", "per_patient", "bulk"))
INSURANCE = Resource("insurance", "Coverage", ("last_updated", "per_patient", "bulk"))
PATIENT = Resource("patient", "Patient", ("last_updated", "name_sweep", "bulk"))


def server(*params: str, fhir_type: str = "Encounter", export: bool = False) -> Capability:
    declared = {fhir_type: Declared(frozenset({"read", "search-type"}), frozenset(params))}
    if export:
        declared["Group"] = Declared(operations=frozenset({"export"}))
    return Capability("eClinicalWorks", "4.0.1", declared)


def test_the_first_strategy_whose_needs_the_server_declares_is_chosen() -> None:
    assert choose(ENCOUNTER, server("_lastUpdated", "patient"), Options()) == Choice(
        ("last_updated", "per_patient"), "the first choice"
    )


def test_the_reason_names_what_the_server_does_not_declare() -> None:
    assert choose(ENCOUNTER, server("patient", "practitioner"), Options()) == Choice(
        ("per_patient",),
        "the server does not declare what last_updated needs _lastUpdated; schedule needs date",
    )


def test_a_bulk_export_is_chosen_only_if_it_is_configured() -> None:
    assert choose(ENCOUNTER, server("patient", export=True), Options()).strategies == ("per_patient",)
    configured = Options(strategies={"encounter": "bulk"})
    assert choose(ENCOUNTER, server("patient", export=True), configured) == Choice(("bulk",), "configured")


@pytest.mark.parametrize(
    ("resource", "options", "expected"),
    [
        (PATIENT, Options(ids={"patient": ["a"]}), "by_id"),
        (ENCOUNTER, Options(ids={"patient": ["a"]}), "per_patient"),
        (ENCOUNTER, Options(practitioners=["a"]), "schedule"),
        (PATIENT, Options(practitioners=["a"]), "of_schedule"),
        (INSURANCE, Options(practitioners=["a"]), "per_patient"),
    ],
)
def test_the_strategy_of_a_run_of_single_records(resource: Resource, options: Options, expected: str) -> None:
    assert choose(resource, server("patient"), options).strategies == (expected,)


def test_a_run_of_single_records_refuses_a_resource_without_ids() -> None:
    with pytest.raises(ConfigurationError, match="patient is not among them"):
        choose(PATIENT, server("patient"), Options(ids={"encounter": ["a"]}))


@pytest.mark.parametrize(
    ("capability", "strategy", "message"),
    [
        (
            lambda: server("patient"),
            "per_pateint",
            "encounter has no strategy 'per_pateint'.*did you mean 'per_patient'",
        ),
        (
            lambda: server("patient"),
            "list",
            "encounter cannot be extracted by 'list'.*use one of: last_updated, schedule",
        ),
        (lambda: server("patient"), "last_updated", "searches Encounter by _lastUpdated, which the server does not"),
        (lambda: server("patient"), "bulk", r"Group/\$export"),
        (lambda: server(), "", "declares no search that returns all of Encounter"),
        (lambda: server(fhir_type="Other"), "", "declares no search that returns all of Encounter"),
    ],
)
def test_an_impossible_strategy_is_refused_with_the_reason(
    capability: Callable[[], Capability], strategy: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        choose(ENCOUNTER, capability(), Options(strategies={"encounter": strategy} if strategy else {}))
