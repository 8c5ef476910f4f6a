"""The changes that need a verification of benefits, by the names of the CRM's columns."""

from __future__ import annotations

from ecw.crm.db.enums import StageAction

# The fields by which a payer identifies and contacts a member.
PATIENT = frozenset(
    {
        *("first_name", "middle_name", "last_name", "suffix", "birth_date", "gender"),
        *("address_line1", "address_line2", "city", "state", "postal_code", "country"),
        *("phone", "mobile_phone"),
    }
)
# Every other column of insurance matters, also the deletion in eCW (`emr_status`).
NOT_OF_INSURANCE = frozenset({"ecw_id"})
NEW = "new"  # stands for all columns of a policy that the CRM did not have


def what_changed(resource: str, operation: str, fields: str | None) -> frozenset[str]:
    """Return the names of the changed columns that matter; if there are none, no request is opened.

    A new patient opens no request: its insurance does.
    """
    if operation == StageAction.INSERT:
        return frozenset({NEW}) if resource == "insurance" else frozenset()
    changed = frozenset(name.strip() for name in (fields or "").split(",") if name.strip())
    return changed - NOT_OF_INSURANCE if resource == "insurance" else changed & PATIENT
