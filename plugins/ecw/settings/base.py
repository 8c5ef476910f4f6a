"""Options as pydantic models: of each key one description, for its reader, the Trigger form and docs/reference.

A model is a pydantic dataclass with OPTIONS as its configuration; `option` makes a field, and `form_fields` returns
those that the form of a run has, as JSON Schema for Airflow's Params.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ecw.errors import ConfigurationError
from ecw.resources import RESOURCES, resource
from ecw.settings.did_you_mean import did_you_mean

OPTIONS = ConfigDict(extra="forbid", strict=True)
Text = Annotated[str, StringConstraints(pattern=r"\S")]


def _resource(name: str) -> str:
    if name not in RESOURCES and not did_you_mean(name, RESOURCES).startswith("did you mean"):
        raise ValueError(f"resource should be one of: {', '.join(RESOURCES)}")  # the name may be anything: not repeated
    return resource(name).name


ResourceName = Annotated[str, AfterValidator(_resource)]
AtLeastOne = Annotated[int, Field(ge=1)]
T = TypeVar("T")


def option(default: Any, meaning: str, *, form: Mapping[str, Any] | None = None, **checks: Any) -> Any:
    """Return a field of a model; `default` may be a function that makes it, such as `list`.

    `form` is for keys that a run may set: `title`, and what differs from the option's own schema: `description`,
    `section`, `default` (what the untouched form holds), and any key of JSON Schema that Airflow's form shows.
    """
    more: dict[str, Any] = {"default_factory": default} if callable(default) else {"default": default}
    return Field(**more, description=meaning, json_schema_extra={"form": dict(form)} if form else None, **checks)


def described(model: type) -> Iterator[tuple[str, Any, str]]:
    """Yield name, default and meaning of each key of a model."""
    for name, field in _fields(model).items():
        yield name, field.get_default(call_default_factory=True), field.description or ""


def form_fields(model: type) -> dict[str, dict[str, Any]]:
    """Return the fields of the form of a run: what the untouched form holds as `default`, and their JSON Schema."""
    schemas = TypeAdapter(model).json_schema()["properties"]
    fields = {}
    for name, field in _fields(model).items():
        if isinstance(field.json_schema_extra, dict) and "form" in field.json_schema_extra:
            schema = schemas[name]
            own = schema.pop("form")
            fields[name] = {"default": field.get_default(call_default_factory=True)} | schema | own
    return fields


def said(source: Mapping[str, Any] | str | None, *, of: str, example: str) -> dict[str, Any]:
    """Return what a source says, an object or JSON text; nothing where it says nothing.

    Raises ConfigurationError: `of` names what the options are for, `example` shows how they are written.
    """
    if isinstance(source, str):
        try:
            source = json.loads(source) if source.strip() else None
        except json.JSONDecodeError:
            source = ()  # type: ignore[assignment]  # refused below
    if source is None:
        return {}
    if not isinstance(source, Mapping):
        raise ConfigurationError(f"The options of a {of} are no JSON object.", next_step=f"write them as {example}.")
    return dict(source)


def is_said(value: object) -> bool:
    """Return True if a value is one: a form cannot leave a field out."""
    return value not in (None, "", [], {}) and value is not False


def validated(
    model: Callable[..., T], values: Mapping[str, Any], *, of: str, where: str, names: Collection[str] = ()
) -> T:
    """Return the model with these values.

    Raises ConfigurationError with everything that is wrong at once: the key, what it should be, and `where` to fix it;
    of an unknown key the one that was meant, among `names` or the model's own. No value is repeated.
    """
    try:
        return model(**values)
    except ValidationError as error:
        raise explained(error, names or list(_fields(model)), of=of, where=where) from None


def explained(error: ValidationError, names: Collection[str], *, of: str, where: str) -> ConfigurationError:
    """Return pydantic's error as one of the project's."""
    found = error.errors(include_url=False, include_input=False)
    for each in found:
        if each["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            name = str(each["loc"][-1])
            return ConfigurationError(
                f"There is no option {name!r} of a {of}.",
                next_step=f"{_sentence(did_you_mean(name, names))} It stands in {where}.",
            )
    wrong = "; ".join(f"the option {_place(each['loc'])} of a {of} {_demand(each['msg'])}" for each in found)
    return ConfigurationError(f"{wrong[0].upper()}{wrong[1:]}.", next_step=f"fix it in {where}.")


def require_own_keys(form: Mapping[str, Any], own: Collection[str], of: str, elsewhere: Collection[str] = ()) -> None:
    """Do nothing where a run says only what its form has: `dag_run.conf` holds whatever a trigger sends.

    `elsewhere` are options that the connection alone may set.  Raises ConfigurationError that names the key.
    """
    for name in form:
        if name in own:
            continue
        if name in elsewhere:
            raise ConfigurationError(
                f"The option {name!r} of a {of} is for the connection alone: a run may only be more careful than it.",
                next_step=f"take it out of the run's configuration; whoever may edit the connection sets it there, in "
                f"the extra field `{of}`.",
            )
        hint = did_you_mean(name, own)
        # What is like none of them may be anything, a name too: it is not repeated.
        raise ConfigurationError(
            f"The form of a {of} has no field {name!r}."
            if hint.startswith("did you mean")
            else f"The form of a {of} lacks a field that was sent.",
            next_step=_sentence(hint),
        )


def _sentence(hint: str) -> str:
    return hint if hint.endswith("?") else f"{hint}."


def _fields(model: Any) -> dict[str, FieldInfo]:
    fields: dict[str, FieldInfo] = model.__pydantic_fields__
    return fields


def _place(loc: tuple[int | str, ...]) -> str:
    """Return the key, and where within its value, counted from 1 as people do."""
    inner = ", ".join(str(part + 1) if isinstance(part, int) else part for part in loc[1:] if part != "[key]")
    return f"{loc[0]!r} ({inner})" if inner else repr(loc[0])


def _demand(message: str) -> str:
    """Return pydantic's message as the end of a sentence: "should be a valid integer"."""
    if "pattern" in message:
        return "should be a text that is not empty"
    return re.sub(r"^(Value error, )?\w+ should ", "should ", message)
