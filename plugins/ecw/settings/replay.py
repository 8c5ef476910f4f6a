"""The options of a replay: which of the open rejects it covers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic.dataclasses import dataclass

from ecw.resources import RESOURCES
from ecw.settings.base import OPTIONS, ResourceName, form_fields, option, read_options, require_own_keys, validated


@dataclass(frozen=True, slots=True, config=OPTIONS)
class ReplayOptions:
    """Every key; an empty one does not filter. All empty: every open reject."""

    resources: list[ResourceName] = option(
        list,
        "only these resources; empty: all",
        form={
            "title": "Resources",
            "description": "Only these; empty: all.",
            "items": {"type": "string", "enum": list(RESOURCES)},
            "examples": list(RESOURCES),
        },
    )
    rule: str = option(
        "",
        "only records that this rule rejected",
        form={
            "title": "Rule",
            "description": "Only records rejected by this rule, as `ecw status` names it, for instance: unmapped code.",
        },
    )
    run: str = option(
        "",
        "only records that this run rejected",
        form={"title": "Run", "description": "Only records that the pull with this run id rejected."},
    )
    ids: list[str] = option(
        list,
        "only these eCW ids",
        form={
            "title": "eCW ids",
            "description": "Only these records, one id per line.",
        },
    )

    @classmethod
    def read(cls, source: Mapping[str, Any] | str | None) -> Self:
        """Return the options of a run, given as an object or as JSON.

        Raises ConfigurationError naming the key and its correct form.
        """
        form = read_options(source, of="replay", example='{"resources": ["patient"]}')
        require_own_keys(form, FORM, "replay")
        filled = {name: value for name, value in form.items() if value is not None}
        return validated(cls, filled, of="replay", where="the run's form")


FIELDS = form_fields(ReplayOptions)
FORM = tuple(FIELDS)
