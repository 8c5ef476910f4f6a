"""The server's capability statement: what it declares, and what changed since the last one."""

from ecw.fhir.capability import Capability


def statement(**changes):
    return {
        "resourceType": "CapabilityStatement",
        "fhirVersion": "4.0.1",
        "software": {"name": "eCW", "version": changes.get("version", "12.0.2")},
        "rest": [
            {
                "mode": "server",
                "resource": [
                    {
                        "type": "Location",
                        "interaction": [{"code": "read"}, {"code": "search-type"}],
                        "searchParam": [{"name": name} for name in changes.get("params", ("_id", "name", "page"))],
                    },
                    {"type": changes.get("other", "Group"), "operation": [{"name": "export"}]},
                ],
            }
        ],
    }


def test_a_statement_is_read_into_interactions_parameters_and_operations():
    capability = Capability.parse(statement())
    assert capability.software == "eCW 12.0.2"
    assert capability.can("Location", "search-type")
    assert not capability.can("Location", "create")
    assert not capability.can("Patient", "read")
    assert capability.takes("Location", "_id", "name")
    assert not capability.takes("Location", "_id", "_lastUpdated")
    assert capability.resources["Group"].operations == {"export"}


def test_an_empty_statement_declares_nothing():
    assert Capability.parse({}) == Capability(software=None, fhir_version=None)


def test_each_change_of_a_statement_is_one_line():
    before = Capability.parse(statement())
    now = Capability.parse(statement(version="12.1.0", params=("_id", "page", "_lastUpdated"), other="Patient"))
    assert before.changes_since(before) == []
    assert now.changes_since(before) == [
        "software: eCW 12.0.2 → eCW 12.1.0",
        "Group: no longer declared",
        "Location: search parameter name is gone",
        "Location: search parameter _lastUpdated is new",
        "Patient: newly declared",
    ]


def test_changes_of_a_sandbox_practice_are_listed(sandbox, connect):
    before = Capability.parse(connect(sandbox).capability())
    assert before.takes("Encounter", "practitioner", "date")
    assert not before.takes("Patient", "_lastUpdated")
    sandbox.set(build="12.1.0", undeclared="Encounter.date,Patient.phone")
    assert Capability.parse(connect(sandbox).capability()).changes_since(before) == [
        "software: eClinicalWorks 12.0.3 → eClinicalWorks 12.1.0",
        "Encounter: search parameter date is gone",
        "Patient: search parameter phone is gone",
    ]


def test_the_plain_fhir_profile_declares_last_updated_count_and_create(sandbox, connect):
    sandbox.set(profile="fhir")
    capability = Capability.parse(connect(sandbox).capability())
    assert capability.takes("Patient", "_lastUpdated", "_count")
    assert capability.can("Patient", "create")
