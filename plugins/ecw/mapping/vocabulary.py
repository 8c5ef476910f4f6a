"""The values allowed in a mapping file; include/mappings/README.md repeats their texts for the authors of one."""

from __future__ import annotations

from types import MappingProxyType

# Days that databases write for "no date": SQL's first and last day, the zero of Delphi and eCW, the zero of SQL Server;
# each with its neighbours, because another time zone can shift it by a day.
NULL_DAYS = frozenset(
    {
        *("0001-01-01", "0001-01-02"),
        *("1899-12-29", "1899-12-30", "1899-12-31"),
        *("1900-01-01", "1900-01-02"),
        *("9999-12-30", "9999-12-31"),
    }
)
NULL_YEARS = frozenset({"0001", "0001-01", "9999", "9999-12"})
TYPES = MappingProxyType(
    {
        "string": "text",
        "date": "a day; of a FHIR time, the day in the practice's time zone",
        "datetime": "a moment, in UTC; a FHIR time without offset is the practice's",
        "boolean": "true or false",
        "integer": "a whole number",
        "decimal": "a number",
        "code": "a plain code, or by a crosswalk the CRM's value for it",
        "concept": "a CodeableConcept or Coding, by a crosswalk its codes and systems, else its text",
        "reference": "another record, as FhirType/eCW-id",
    }
)
SYNC = MappingProxyType(
    {
        "pull": "eCW to CRM",
        "push": "CRM to eCW",
        "both": "both ways",
    }
)
ON_CONFLICT = MappingProxyType(
    {
        "emr": "eCW's value wins",
        "crm": "the CRM's value wins",
        "newest": "the later change of that column wins; if its time is unknown, a person decides",
        "hold": "neither: a person decides",
    }
)
UPDATE = MappingProxyType(
    {
        "once": "the first value stays",
        "always": "the latest value counts",
    }
)
UNMAPPED = MappingProxyType(
    {
        "reject": "the record is rejected",
        "keep": "the code itself is loaded",
        "default": "the crosswalk's default is loaded",
    }
)
SET_WITH_WORDS = ("%value", "%code", "%system")


def is_null_date(text: str) -> bool:
    """Return True if a FHIR date or dateTime is one that databases write for "no date"."""
    return text[:10] in NULL_DAYS or text in NULL_YEARS
