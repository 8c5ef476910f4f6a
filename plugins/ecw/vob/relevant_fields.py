"""Which changes are worth a verification of benefits, by the names of the CRM's columns."""

from __future__ import annotations

# What a payer finds a member by, and where it writes to.
PATIENT = frozenset(
    {
        *("first_name", "middle_name", "last_name", "suffix", "birth_date", "gender"),
        *("address_line1", "address_line2", "city", "state", "postal_code", "country"),
        *("phone", "mobile_phone"),
    }
)
# Of insurance everything matters, also that eCW has it no more (`emr_status`), but for what says which record it is.
NOT_OF_INSURANCE = frozenset({"ecw_id"})
NEW = "new"  # the word for a policy that was not there before


def what_changed(resource: str, operation: str, fields: str | None) -> frozenset[str]:
    """Return the names of the columns that matter; none: no request.

    A new patient alone has nothing to verify: the insurance that comes with it opens the request.
    """
    if operation == "insert":
        return frozenset({NEW}) if resource == "insurance" else frozenset()
    changed = frozenset(name.strip() for name in (fields or "").split(",") if name.strip())
    return changed - NOT_OF_INSURANCE if resource == "insurance" else changed & PATIENT
