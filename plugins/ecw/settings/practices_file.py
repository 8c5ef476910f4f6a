"""Read include/practices.yaml; report every mistake with file, line and key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from ecw.did_you_mean import did_you_mean
from ecw.errors import ConfigurationError
from ecw.settings.practice import DEFAULT_CONNECTION, DEFAULT_CRM, Practice

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NEXT = "fix the lines named above; docs/how-to/many-practices.md explains the file."
Keys = tuple[int | str, ...]


class Alerts(BaseModel):
    """The receivers and the limits of this practice's alerts: the keys of the Variable ecw_alerts."""

    model_config = ConfigDict(extra="forbid", strict=True)

    webhook: str | None = None
    email: list[str] | str | None = None
    smtp: str | None = None
    stale_intervals: float | None = None
    reject_percent: float | None = None
    reject_least: float | None = None
    volume_drop_percent: float | None = None


def _not_blank(value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise ValueError("is empty")
    return value


Text = Annotated[str, BeforeValidator(_not_blank)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,80}$")]


class Entry(BaseModel):
    """The settings of one practice."""

    model_config = ConfigDict(extra="forbid", strict=True)

    connection: Id | None = None
    crm_connection: Id = DEFAULT_CRM
    schedule: Text | None = None
    resources: list[str] = []
    mappings: Text | None = None
    quality: Text | None = None
    alerts: Alerts = Alerts()
    staging: Text | None = None
    pool: Id = "ecw_api"
    push: bool = True
    vob_webhook: Id = "vob_webhook"

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, value: str | None) -> str | None:
        from ecw.settings.schedule import checked

        try:
            return None if value is None else checked(value)
        except ConfigurationError:
            raise ValueError(f"{value!r} is not a cron expression of five fields") from None

    @field_validator("resources")
    @classmethod
    def _are_resources(cls, value: list[str]) -> list[str]:
        from ecw.resources import RESOURCES

        for name in value:
            if name not in RESOURCES:
                raise ValueError(f"{name!r} is not a resource; {did_you_mean(name, list(RESOURCES))}")
        return [name for name in RESOURCES if name in value]


class Document(BaseModel):
    """The file: one key, with the practices by name."""

    model_config = ConfigDict(extra="forbid", strict=True)

    practices: dict[Id, Entry | None]


def read(path: Path) -> tuple[Practice, ...]:
    """Return the practices of a file, in its order.

    Raises ConfigurationError with file, line and key of every mistake, and suggestions.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=_LOADER)
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - a safe loader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ConfigurationError(f"{path}:{line}: this is not YAML.", next_step="fix the line.") from None
    mistakes: list[tuple[int, str]] = []
    found: tuple[Practice, ...] = ()
    try:
        document = Document.model_validate(content if content is not None else {"practices": {}})
        found = tuple(_practice(path, name, entry or Entry()) for name, entry in document.practices.items())
    except ValidationError as error:
        mistakes = [_mistake(root, each["loc"], each["type"], each["msg"]) for each in error.errors()]
    mistakes += _duplicates(root, found) + _missing_folders(root, found)
    if mistakes:
        lines = "\n".join(f"{path}:{line}: {what}" for line, what in sorted(mistakes))
        raise ConfigurationError(f"The configuration of practices has mistakes:\n{lines}\n", next_step=_NEXT)
    return found


def _practice(path: Path, name: str, entry: Entry) -> Practice:
    def folder(written: str | None) -> Path | None:
        return None if written is None else (path.parent / written).resolve()

    connection = entry.connection or f"ecw_{name}"
    return Practice(
        # The DAGs of the practice at ecw_default keep their ids when the file first names it.
        name="" if connection == DEFAULT_CONNECTION else name,
        connection=connection,
        crm_connection=entry.crm_connection,
        schedule=entry.schedule,
        resources=tuple(entry.resources),
        mappings=folder(entry.mappings),
        quality=folder(entry.quality),
        alerts=entry.alerts.model_dump(exclude_none=True),
        staging=entry.staging,
        pool=entry.pool,
        push=entry.push,
        vob_webhook=entry.vob_webhook,
    )


def _mistake(root: yaml.Node | None, where: Keys, kind: str, message: str) -> tuple[int, str]:
    keys = [str(each) for each in where if each != "[key]"]
    line, key = _line(root, keys), ".".join(keys) or "the file"
    if kind == "extra_forbidden":
        models: dict[int, type[BaseModel]] = {1: Document, 4: Alerts}
        fields = models.get(len(keys), Entry).model_fields
        return line, f"{key}: this key does not exist; {did_you_mean(keys[-1], list(fields))}"
    return line, f"{key}: {message.removeprefix('Value error, ')}"


def _line(root: yaml.Node | None, keys: list[str]) -> int:
    node, line = root, 1
    for key in keys:
        if isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
            node = node.value[int(key)]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                if getattr(name, "value", None) == key:
                    node, line = value, name.start_mark.line + 1
                    break
    return line


def _duplicates(root: yaml.Node | None, found: tuple[Practice, ...]) -> list[tuple[int, str]]:
    """Return the duplicate connections, and the duplicate names, of which YAML would silently keep the last."""
    names = [key.value for key, _ in _entries(root)]
    mistakes = [
        (key.start_mark.line + 1, f"practices.{key.value}: it occurs twice")
        for at, (key, _) in enumerate(_entries(root))
        if key.value in names[:at]
    ]
    seen: dict[str, str] = {}
    for one, (key, _) in zip(found, _entries(root), strict=False):
        if one.connection in seen:
            what = (
                f"practices.{key.value}.connection: {one.connection} is already the practice {seen[one.connection]!r}"
            )
            mistakes.append((_line(root, ["practices", key.value, "connection"]), what))
        seen[one.connection] = key.value
    return mistakes


def _missing_folders(root: yaml.Node | None, found: tuple[Practice, ...]) -> list[tuple[int, str]]:
    return [
        (
            _line(root, ["practices", key.value, word]),
            f"practices.{key.value}.{word}: the folder {folder} does not exist",
        )
        for one, (key, _) in zip(found, _entries(root), strict=False)
        for word, folder in (("mappings", one.mappings), ("quality", one.quality))
        if folder is not None and not folder.is_dir()
    ]


def _entries(root: yaml.Node | None) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    if not isinstance(root, yaml.MappingNode):
        return []
    for key, value in root.value:
        if key.value == "practices" and isinstance(value, yaml.MappingNode):
            return list(value.value)
    return []
