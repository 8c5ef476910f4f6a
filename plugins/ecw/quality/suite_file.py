"""The keys of include/quality/*.yaml, as a pydantic model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Ratio = Annotated[float, Field(ge=0, le=1, strict=True)]


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Volume(_Keys):
    """The share of the usual number of records that a run must find."""

    at_least: Ratio
    on_fail: Literal["warn", "stop"]
    reason: str = ""


class Meta(_Keys):
    """The project's own keys of an expectation: the consequence of a failed row."""

    on_fail: Literal["warn", "reject", "stop"]
    max_failed_ratio: Ratio | None = None
    reason: str = ""


class Expectation(_Keys):
    """One expectation, as Great Expectations writes it in JSON."""

    type: Text
    kwargs: dict[str, Any] = Field(default_factory=dict)
    meta: Meta


class SuiteFile(_Keys):
    """The suite of one resource; its expectations are validated one by one, so that all mistakes are reported."""

    resource: Text
    small_batch: Annotated[int, Field(ge=0, strict=True)] = 0
    volume: Volume | None = None
    expectations: list[Any]
