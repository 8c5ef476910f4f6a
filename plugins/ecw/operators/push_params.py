"""The form of the Trigger button: the options of a push that a person sets for one run."""

from __future__ import annotations

from airflow.sdk import Param

# Empty fields stay what the connection says, and a run can only be narrower than that: ecw.settings.push.Wanted
# explains and checks each.
PARAMS = {
    "patients": Param(
        [],
        type=["array", "null"],
        items={"type": "string"},
        title="Patients",
        description="CRM or eCW ids, one a line; `crm:` or `ecw:` before it says which. No MR numbers: Airflow keeps \
what stands here; `ecw find` tells the ids. Empty: everybody who differs from what was last agreed. What is named is \
tried again although eCW refused it before.",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Show for each patient which fields would be sent; nothing is sent and nothing is written.",
    ),
    "only": Param(
        "",
        type=["string", "null"],
        enum=["", "create", "update", None],
        title="Only",
        description="create: patients that eCW does not have; update: those it has.",
    ),
    "limit": Param(
        None,
        type=["integer", "null"],
        minimum=0,
        title="At most",
        description="The first so many patients; empty: as many as the connection lets through.",
    ),
    "test_only": Param(
        False,
        type="boolean",
        title="Only the test patient",
        description="Push nobody but the patient that the connection names as `test_patient`, to verify a practice \
after eCW or the CRM was updated.",
    ),
    "resource": Param(
        "patient",
        type="string",
        title="Resource",
        description="Patients are the only records that eCW takes; another name is refused with the reason.",
    ),
}
