"""Options as pydantic models: each key has one description, used for errors, the Trigger form and docs/reference.

A model is a pydantic dataclass with OPTIONS as its configuration. `option` defines a field; `form_fields` returns the
fields of a run's form, as JSON Schema for Airflow's Params.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ecw.did_you_mean import did_you_mean
from ecw.errors import ConfigurationError
from ecw.resources import RESOURCES, resource

OPTIONS = ConfigDict(extra="forbid", strict=True)
Text = Annotated[str, StringConstraints(pattern=r"\S")]


def _resource(name: str) -> str:
    if name not in RESOURCES and not did_you_mean(name, RESOURCES).startswith("did you mean"):
        raise ValueError(
            f"resource should be one of: {', '.join(RESOURCES)}"
        )  # the name can be any text: do not repeat it
    return resource(name).name


ResourceName = Annotated[str, AfterValidator(_resource)]
AtLeastOne = Annotated[int, Field(ge=1)]
T = TypeVar("T")


def option(default: Any, meaning: str, *, form: Mapping[str, Any] | None = None, **checks: Any) -> Any:
    """Return a field of a model; `default` may be a factory, such as `list`.

    `form` is for keys that a run may set. It has `title`, and overrides of the option's own schema: `description`,
    `section`, `default` (the initial value in the form), and any key of JSON Schema that Airflow's form supports.
    """
    more: dict[str, Any] = {"default_factory": default} if callable(default) else {"default": default}
    return Field(**more, description=meaning, json_schema_extra={"form": dict(form)} if form else None, **checks)


def described(model: type) -> Iterator[tuple[str, Any, str]]:
    """Yield name, default and meaning of each key of a model."""
    for name, field in _fields(model).items():
        yield name, field.get_default(call_default_factory=True), field.description or ""


def form_fields(model: type) -> dict[str, dict[str, Any]]:
    """Return the fields of a run's form: the JSON Schema of each, with the form's initial value as `default`."""
    schemas = TypeAdapter(model).json_schema()["properties"]
    fields = {}
    for name, field in _fields(model).items():
        if isinstance(field.json_schema_extra, dict) and "form" in field.json_schema_extra:
            schema = schemas[name]
            own = schema.pop("form")
            fields[name] = {"default": field.get_default(call_default_factory=True)} | schema | own
    return fields


def read_options(source: Mapping[str, Any] | str | None, *, of: str, example: str) -> dict[str, Any]:
    """Return the options of a source, which is an object or JSON text; an empty dict if it has none.

    Raises ConfigurationError if the source is not an object. `of` names the options in the message, `example` shows
    their form.
    """
    if isinstance(source, str):
        try:
            source = json.loads(source) if source.strip() else None
        except json.JSONDecodeError:
            source = ()  # type: ignore[assignment]  # refused below
    if source is None:
        return {}
    if not isinstance(source, Mapping):
        raise ConfigurationError(f"The options of a {of} are not a JSON object.", next_step=f"write them as {example}.")
    return dict(source)


def is_set(value: object) -> bool:
    """Return True if a value is set: a form sends empty values for fields that were not filled."""
    return value not in (None, "", [], {}) and value is not False


def validated(
    model: Callable[..., T], values: Mapping[str, Any], *, of: str, where: str, names: Collection[str] = ()
) -> T:
    """Return the model with these values.

    Raises ConfigurationError with all mistakes: each key, its correct form, and `where` to fix it. For an unknown key
    it suggests one of `names`, else of the model's own keys. The message holds no values.
    """
    try:
        return model(**values)
    except ValidationError as error:
        raise explained(error, names or list(_fields(model)), of=of, where=where) from None


def explained(error: ValidationError, names: Collection[str], *, of: str, where: str) -> ConfigurationError:
    """Return the ConfigurationError for an error of pydantic."""
    found = error.errors(include_url=False, include_input=False)
    for each in found:
        if each["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            name = str(each["loc"][-1])
            return ConfigurationError(
                f"There is no option {name!r} of a {of}.",
                next_step=f"{_sentence(did_you_mean(name, names))} It is in {where}.",
            )
    wrong = "; ".join(f"the option {_place(each['loc'])} of a {of} {_demand(each['msg'])}" for each in found)
    return ConfigurationError(f"{wrong[0].upper()}{wrong[1:]}.", next_step=f"fix it in {where}.")


def require_own_keys(form: Mapping[str, Any], own: Collection[str], of: str, elsewhere: Collection[str] = ()) -> None:
    """Raise ConfigurationError if a run sets a key that its form does not have: `dag_run.conf` can hold any key.

    `elsewhere` are options that only the connection may set.
    """
    for name in form:
        if name in own:
            continue
        if name in elsewhere:
            raise ConfigurationError(
                f"The option {name!r} of a {of} may be set only in the connection: a run can only restrict it.",
                next_step=f"remove it from the run's configuration; set it in the connection's extra field `{of}`.",
            )
        hint = did_you_mean(name, own)
        # A key that resembles none of them can be any text, also a patient's name: do not repeat it.
        raise ConfigurationError(
            f"The form of a {of} has no field {name!r}."
            if hint.startswith("did you mean")
            else f"The run sent a field that the form of a {of} does not have.",
            next_step=_sentence(hint),
        )


def _sentence(hint: str) -> str:
    return hint if hint.endswith("?") else f"{hint}."


def _fields(model: Any) -> dict[str, FieldInfo]:
    fields: dict[str, FieldInfo] = model.__pydantic_fields__
    return fields


def _place(loc: tuple[int | str, ...]) -> str:
    """Return the key and the place in its value, counted from 1."""
    inner = ", ".join(str(part + 1) if isinstance(part, int) else part for part in loc[1:] if part != "[key]")
    return f"{loc[0]!r} ({inner})" if inner else repr(loc[0])


def _demand(message: str) -> str:
    """Return pydantic's message as the end of a sentence: "should be a valid integer"."""
    if "pattern" in message:
        return "should be a text that is not empty"
    return re.sub(r"^(Value error, )?\w+ should ", "should ", message)
