"""The words of a mapping file; include/mappings/README.md explains them to the people who write one.

Where SQL-on-FHIR's ViewDefinition has a word (`resource`, `select`, `column`, `name`, `path`, `type`, `description`,
`forEachOrNull`, `constant`), it is that one. https://sql-on-fhir.org/ig/StructureDefinition/ViewDefinition
"""

from __future__ import annotations

from types import MappingProxyType

# Days that databases write where nobody entered one: the first and last that SQL knows, Delphi's and eCW's zero, SQL
# Server's zero; each with its neighbours, its values in other time zones.
NULL_DAYS = frozenset(
    {
        *("0001-01-01", "0001-01-02"),
        *("1899-12-29", "1899-12-30", "1899-12-31"),
        *("1900-01-01", "1900-01-02"),
        *("9999-12-30", "9999-12-31"),
    }
)
NULL_YEARS = frozenset({"0001", "0001-01", "9999", "9999-12"})
FILE_KEYS = MappingProxyType(
    {
        "resource": "the FHIR type that the file maps",
        "table": "the CRM's table",
        "key": "the column that holds the eCW id",
        "description": "one line on what the table is for",
        "time_zone": "the practice's time zone; needed by date and datetime columns",
        "profile": "what a resource made from a row claims in meta.profile",
        "constant": "names for values that paths use as %name",
        "select": "groups of columns",
        "excluded": "FHIR elements that the CRM does not get, each with the reason",
    }
)
GROUP_KEYS = MappingProxyType(
    {
        "forEachOrNull": "the one element that the paths of this group start from; it ends in first() or [n]",
        "column": "the columns",
    }
)
COLUMN_KEYS = MappingProxyType(
    {
        "name": "the CRM's column",
        "label": "what the CRM's users call it",
        "description": "a line for whoever needs more than the label",
        "path": "where the value lies in the FHIR resource; the first value found is taken",
        "fallback": "the path of a value that stands in where `path` finds none; a push never writes it",
        "write_path": "where a push writes, if that is narrower than what `path` reads",
        "type": "what the value is",
        "required": "a record without it is rejected",
        "sync": "which way it travels",
        "on_conflict": "who wins when both sides changed it",
        "update": "whether a later value replaces the first",
        "clean": "small named functions, applied in order to eCW's value, and to the CRM's before a push",
        "null_if": "values that mean nothing, as eCW sends them; null dates mean nothing without being named here",
        "to": "of a reference, the FHIR types that it may name; a reference to another type is passed over",
        "several": "all values of an element that repeats enter the column, with this text between them",
        "crosswalk": "the table of codes in crosswalks/ that turns the code into the CRM's word, and back",
        "set_with": "what is written beside the value: path, and a text or %value, %code, %system",
    }
)
TYPES = MappingProxyType(
    {
        "string": "text",
        "date": "a day; of a FHIR time, the day in the practice's time zone",
        "datetime": "a moment, in UTC; a FHIR time without offset is the practice's",
        "boolean": "true or false",
        "integer": "a whole number",
        "decimal": "a number",
        "code": "a plain code, or the CRM's word for it by a crosswalk",
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
        "newest": "the later change of that column wins; where its time is not known, a person chooses",
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
        "reject": "the record may not enter",
        "keep": "the code itself enters",
        "default": "the crosswalk's default enters",
    }
)
POLICY_KEYS = MappingProxyType(
    {
        "unmapped": "what becomes of a code that the crosswalk does not have",
        "default": "the CRM value for such a code, where the policy is default",
        "ecw_list": "table.column of the CRM's database that lists eCW's present codes",
        "crm_list": "table.column of the CRM's database that lists the CRM's present values",
    }
)
FALLBACK_KEYS = MappingProxyType(
    {
        "path": "where the value that stands in lies",
        "take": "the part of a name's text that is taken: family or given",
    }
)
SET_WITH_WORDS = ("%value", "%code", "%system")


def is_null_date(text: str) -> bool:
    """Return True if a FHIR date or dateTime is one that a database writes where there is none."""
    return text[:10] in NULL_DAYS or text in NULL_YEARS
