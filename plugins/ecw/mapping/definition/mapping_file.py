"""The keys of a mapping file and of crosswalks/policies.yaml, as pydantic models; every value is a text.

The keys `resource`, `select`, `column`, `name`, `path`, `type`, `description`, `forEachOrNull` and `constant` are those
of SQL-on-FHIR's ViewDefinition. https://sql-on-fhir.org/ig/StructureDefinition/ViewDefinition
include/mappings/README.md repeats the descriptions for the people who write a file.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from ecw.did_you_mean import did_you_mean
from ecw.mapping.values.clean import CLEANERS
from ecw.mapping.values.name_text import TAKES
from ecw.mapping.vocabulary import ON_CONFLICT, SYNC, TYPES, UNMAPPED, UPDATE

_SQL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}\Z")


def _word_of(words: Collection[str]) -> AfterValidator:
    def known(text: str, info: ValidationInfo) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is not a value of {info.field_name}; {did_you_mean(text, words)}")
        return text

    return AfterValidator(known)


def _sql_name(text: str) -> str:
    if not _SQL_NAME.match(text):
        raise ValueError(f"{text!r} is not a name of letters, digits and _, 63 at most, that begins with a letter or _")
    return text


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{text!r} is not a time zone; write it as in America/New_York") from None
    return text


def _table_column(text: str) -> str:
    if text.count(".") != 1:
        raise ValueError(f"{text!r} is not table.column")
    return text


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
SqlName = Annotated[Text, AfterValidator(_sql_name)]
TableColumn = Annotated[Text, AfterValidator(_table_column)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_as_list)]
Cleaners = Annotated[tuple[Annotated[Text, _word_of(CLEANERS)], ...], BeforeValidator(_as_list)]


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MappingFile(_Keys):
    """A mapping file; groups and constants are read separately, so that a mistake in one does not hide others."""

    resource: Text = Field(description="the FHIR type that the file maps")
    table: SqlName = Field(description="the CRM's table")
    key: SqlName = Field(description="the column that holds the eCW id")
    description: Text = Field("", description="one line on what the table is for")
    time_zone: Annotated[Text, AfterValidator(_time_zone)] | None = Field(
        None, description="the practice's time zone; needed by date and datetime columns"
    )
    profile: Text | None = Field(None, description="the meta.profile of a resource that a push creates")
    constant: Any = Field(None, description="names for values that paths use as %name")
    select: list[Any] = Field(description="groups of columns")
    excluded: dict[str, Text] = Field(description="FHIR elements that the CRM does not get, each with the reason")


class Constants(RootModel[dict[str, Text]]):
    """The key `constant` of a mapping file."""


class GroupEntry(_Keys):
    """An item of `select`."""

    for_each: Text = Field(
        "",
        alias="forEachOrNull",
        description="the one element from which the paths of this group start; it ends in first() or [n]",
    )
    column: list[Any] = Field(description="the columns")


class FallbackEntry(_Keys):
    """The key `fallback` of a column."""

    path: Text = Field(description="where the replacement value is in the FHIR resource")
    take: Annotated[Text, _word_of(TAKES)] | None = Field(
        None, description="the part of a name's text that is taken: family or given"
    )


class ColumnEntry(_Keys):
    """An item of `column`."""

    name: SqlName = Field(description="the CRM's column")
    label: Text = Field(description="what the CRM's users call it")
    description: Text = Field("", description="one line of explanation, if the label is not enough")
    path: Text = Field(description="where the value is in the FHIR resource; the first value found is used")
    fallback: FallbackEntry | None = Field(
        None, description="the path to use if `path` finds no value; a push never writes it"
    )
    write_path: Text | None = Field(None, description="where a push writes, if that is narrower than what `path` reads")
    type: Annotated[Text, _word_of(TYPES)] = Field(description="what the value is")
    required: bool = Field(False, description="a record without it is rejected")
    sync: Annotated[Text, _word_of(SYNC)] = Field("pull", description="the direction in which it is transferred")
    on_conflict: Annotated[Text, _word_of(ON_CONFLICT)] = Field(
        "emr", description="who wins when both sides changed it"
    )
    update: Annotated[Text, _word_of(UPDATE)] = Field("always", description="whether a later value replaces the first")
    clean: Cleaners = Field(
        (), description="small named functions, applied in order to eCW's value, and to the CRM's before a push"
    )
    null_if: Texts = Field(
        (),
        description="values of eCW that mean 'empty'; null dates always do",
    )
    to: Texts = Field(
        (),
        description="of a reference, the FHIR types that it may name; references to other types are ignored",
    )
    several: Annotated[str, StringConstraints(min_length=1)] = Field(
        "", description="put all values of a repeated element into the column, with this text between them"
    )
    crosswalk: Text | None = Field(
        None, description="the table in crosswalks/ that translates the code into the CRM's value, and back"
    )
    set_with: dict[str, Text] = Field(
        {}, description="what else a push writes with the value: a path, and a text or %value, %code, %system"
    )


class PolicyEntry(_Keys):
    """The policy of one crosswalk in crosswalks/policies.yaml."""

    unmapped: Annotated[Text, _word_of(UNMAPPED)] = Field(
        description="what happens to a code that the crosswalk does not have"
    )
    default: Text | None = Field(None, description="the CRM value for such a code, if `unmapped` is default")
    ecw_list: TableColumn | None = Field(
        None, description="table.column of the CRM's database that lists eCW's current codes"
    )
    crm_list: TableColumn | None = Field(
        None, description="table.column of the CRM's database that lists the CRM's current values"
    )

    @model_validator(mode="after")
    def _check_default(self) -> PolicyEntry:
        if (self.unmapped == "default") != (self.default is not None):
            raise ValueError("`unmapped: default` and `default:` must be used together")
        return self
