"""A fast check that accepts most valid FHIR resources; fhir.resources checks those that it does not accept.

The models of fhir.resources run Python code for every element. This module converts their elements, types and rules to
one schema that pydantic-core runs natively. The schema is stricter than the models, never more lenient: no nulls, no
contained resources, no value that pydantic would convert from another JSON type, and a required primitive needs a
value, not only an extension.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic_core import SchemaValidator, core_schema

if TYPE_CHECKING:
    from fhir_core.fhirabstractmodel import FHIRAbstractModel

Schema = core_schema.CoreSchema
Object = dict[str, Any]

# Days and times that are valid for every date type; the slower library checks the others.
DAY = r"(1[0-9]|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
TIME = r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])"
NEVER = core_schema.is_instance_schema(
    type
)  # no JSON value is a type, so this never accepts: the full validation decides
PRIMITIVE_EXTENSION = "FHIRPrimitiveExtension"
# The model validators that the schema covers; a model with another validator is left to the full validation.
KNOWN = {
    "reject_null_complex_elements",
    "validate_after_model_construction",
    "validate_extension_or_fhir_comment_required",
}


def accepts(resource: Object) -> bool:
    """Return True if the resource is certainly valid FHIR; False if not, or if the full validation must decide."""
    try:
        return _validator(str(resource.get("resourceType"))).isinstance_python(resource)
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
        # Some of the library's types call methods of a text on any value.
        return False


@cache
def _validator(name: str) -> SchemaValidator:
    from fhir.resources.R4B import get_fhir_model_class

    model = get_fhir_model_class(name)
    found: dict[str, Schema] = {}
    kind = core_schema.typed_dict_field(core_schema.literal_schema([model.get_resource_type()]), required=True)
    root = _object(model, found, {"resourceType": kind})
    return SchemaValidator(core_schema.definitions_schema(root, list(found.values())))


def _object(
    model: type[FHIRAbstractModel], found: dict[str, Schema], fields: dict[str, core_schema.TypedDictField]
) -> Schema:
    """Return the schema of a model's JSON object; add the schemas of the types inside it to `found`."""
    rules = model.__pydantic_decorators__
    if rules.field_validators or rules.root_validators or rules.validators or set(rules.model_validators) - KNOWN:
        return NEVER
    blank = model.model_construct()
    needed = {name for name, _ in blank.get_required_fields()}
    if model.get_resource_type() == PRIMITIVE_EXTENSION:
        needed.add("extension")  # it has an extension or an id
    for name, field in model.model_fields.items():
        key = field.alias or name
        annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        required = field.is_required() or key in needed
        fields[key] = core_schema.typed_dict_field(_of(annotation, found), required=required)
    schema: Schema = _closed(fields)
    groups = list(blank.get_one_of_many_fields().values())
    for names in groups:
        first = model.model_fields[names[0]].json_schema_extra
        required = isinstance(first, dict) and first.get("one_of_many_required") is not False
        keys = frozenset(model.model_fields[name].alias or name for name in names)
        if len(groups) == 1:
            return _alternatives(fields, keys, required=required)
        schema = core_schema.no_info_after_validator_function(_choice(keys, required=required), schema)
    return schema


def _choice(keys: frozenset[str], *, required: bool) -> Callable[[Object], Object]:
    """Return a rule: one of the keys at most, or exactly one (https://www.hl7.org/fhir/R4/formats.html#choice)."""

    def one(value: Object) -> Object:
        present = keys.intersection(value)
        if len(present) > 1 or (required and not present):
            raise ValueError("there is not exactly one value")
        return value

    return one


def _alternatives(fields: dict[str, core_schema.TypedDictField], keys: frozenset[str], *, required: bool) -> Schema:
    """Return one schema per key: an extension has fifty keys, and pydantic-core searches for each key of a schema."""
    common = {key: field for key, field in fields.items() if key.removeprefix("_") not in keys}
    schemas: dict[Any, Schema] = {} if required else {"": _closed(common)}
    for key in keys:
        own = {name: fields[name] for name in (key, f"_{key}") if name in fields}
        schemas[key] = _closed(common | own)

    def which(value: Object) -> str | None:
        present = keys.intersection(value)
        return None if len(present) > 1 else "".join(present)

    return core_schema.tagged_union_schema(schemas, which)


def _closed(fields: dict[str, core_schema.TypedDictField]) -> Schema:
    return core_schema.typed_dict_schema(fields, extra_behavior="forbid", strict=True)


def _of(annotation: Any, found: dict[str, Schema]) -> Schema:
    """Return the schema of an element's type, without None."""
    from fhir_core.types import FhirBase, FhirElementOrResourceBase

    if get_origin(annotation) in (Union, UnionType):
        options = [option for option in get_args(annotation) if option is not type(None)]
        return _of(options[0], found) if len(options) == 1 else NEVER
    if get_origin(annotation) is list:
        return core_schema.list_schema(_of(get_args(annotation)[0], found), strict=True)
    if not (isinstance(annotation, type) and issubclass(annotation, FhirBase)):
        return _primitive(annotation)
    if issubclass(annotation, FhirElementOrResourceBase):
        return NEVER
    model = annotation.get_model_klass()
    ref = f"{model.__module__}.{model.__qualname__}"
    if ref not in found:
        found[ref] = NEVER  # for a model that contains itself
        found[ref] = {**_object(model, found, {}), "ref": ref}
    return core_schema.definition_reference_schema(ref)


@cache
def _primitive(annotation: Any) -> Schema:
    """Return the library's schema of a primitive type, strict: only its own JSON type is valid."""
    from fhir_core.types import DateTimeType, DateType, InstantType
    from pydantic import TypeAdapter

    schema = TypeAdapter(annotation).core_schema
    if schema["type"] in ("str", "bool", "int"):
        return {**schema, "strict": True}
    usual = {DateType: f"^{DAY}$", DateTimeType: f"^{DAY}({TIME})?$", InstantType: f"^{DAY}{TIME}$"}.get(annotation)
    if usual is None:
        return schema
    return core_schema.union_schema([core_schema.str_schema(pattern=usual, strict=True), schema], mode="left_to_right")
