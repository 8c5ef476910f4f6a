"""The settings: on the command line (`--page-size 50`), and at run time (`PATCH /admin/settings`)."""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Any, get_type_hints


def _setting(default: Any, means: str) -> Any:
    return field(default=default, metadata={"means": means})


@dataclass
class Settings:
    profile: str = _setting("ecw", "`ecw`: as eClinicalWorks behaves; `fhir`: a plain R4 server")
    quota: int = _setting(250, "calls a minute, token calls included; 0: no limit")
    minute_seconds: float = _setting(60.0, "length of the quota's minute in seconds; shorter for fast tests")
    clock_offset: float = _setting(0.0, "seconds by which the server's clock is ahead")
    latency: float = _setting(0.0, "seconds by which every response is delayed")
    page_size: int = _setting(100, "resources on a page")
    paging: str = _setting(
        "snapshot",
        "`snapshot`: later pages show the result of the first; `offset`: each page searches again",
    )
    next_link: str = _setting(
        "whole",
        "next links of the plain server: `whole`, `relative`, `query` only; `empty`: the last page has one too",
    )
    base_path: str = _setting("/fhir/r4/{practice}", "path of the FHIR API; a plain server's may be /fhir or /baseR4")
    export_origin: str = _setting("", "origin and path of an export's status and files, if not at the base URL")
    export_delete: int = _setting(202, "HTTP status for DELETE of an export; 405, 501: not supported")
    export_pages: int = _setting(0, "files on a page of the manifest, which then has a next link; 0: all on one page")
    meta_profiles: str = _setting("", "profiles that a write's meta.profile may name, separated by commas; empty: all")
    token_seconds: int = _setting(300, "life of an access token")
    allow_list: str = _setting("*", "JWKS URLs or hosts that may be fetched, separated by commas; *: all")
    audience: str = _setting("", "the `aud` that assertions need, if it is not the token URL")
    write_scopes: str = _setting("cu", "spelling of write scopes: `cu` (.c, .u) or `words` (.create, .update)")
    public_url: str = _setting("", "public origin, such as https://ecw.example; links use http nevertheless")
    public_token_url: str = _setting("", "public token URL")
    build: str = _setting("12.0.3", "the practice's build number in /metadata")
    undeclared: str = _setting("", "search parameters to remove, such as Encounter.date,Patient.phone")
    export_seconds: float = _setting(5.0, "seconds that a Group export takes")
    export_retry_after: int = _setting(120, "Retry-After of the kick-off, in seconds")
    export_lines: int = _setting(5_000, "lines in one exported file")
    export_types: str = _setting(
        "Patient,Practitioner,Location,Organization,Coverage,Encounter", "types that an export contains"
    )
    export_since: bool = _setting(True, "an export honours _since")
    write_back: bool = _setting(True, "the practice has a write-back user; without one every write gets code 308")
    update_by: str = _setting("body", "updates name the patient in the `body` (url Patient), or only in the `url`")
    update_mode: str = _setting("replace", "an update does `replace` or `merge` the elements that eCW accepts")
    versions: bool = _setting(False, "records have a versionId; an update with another ifMatch is refused")
    stale_status: int = _setting(409, "HTTP status of such a refusal: HAPI sends 409, FHIR says 412")
    cache_seconds: float = _setting(
        0.0, "seconds for which a repeated search gets the same response, unless it sends no-cache"
    )
    revives: bool = _setting(False, "an update of a missing patient creates it (profile fhir)")
    create_delay: float = _setting(3.0, "seconds until a created patient can be read")

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            self.set(name, value)

    def set(self, name: str, value: Any) -> None:
        """Change a setting.

        Raises ValueError for an unknown name, or a value of the wrong type.
        """
        kinds = get_type_hints(Settings)
        if name not in kinds:
            raise ValueError(f"there is no setting {name!r}; there are: {', '.join(kinds)}")
        kind = kinds[name]
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ValueError(f"{name} must be {kind.__name__}, not {type(value).__name__}")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise ValueError(f"{name} must be one of: {', '.join(_CHOICES[name])}")
        setattr(self, name, value)

    def listed(self, name: str) -> list[str]:
        """Return the parts of a setting that are separated by commas."""
        return [part.strip() for part in getattr(self, name).split(",") if part.strip()]


_CHOICES = {
    "profile": ("ecw", "fhir"),
    "write_scopes": ("cu", "words"),
    "update_by": ("body", "url"),
    "paging": ("snapshot", "offset"),
    "next_link": ("whole", "relative", "query", "empty"),
    "update_mode": ("replace", "merge"),
}


def all_settings() -> list[tuple[Field[Any], type]]:
    kinds = get_type_hints(Settings)
    return [(each, kinds[each.name]) for each in fields(Settings)]
