"""The state of one practice on the server: records, settings, tokens, exports, faults, counts."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

import httpx

from include.sandbox.clock import Clock
from include.sandbox.export import Export
from include.sandbox.faults.fault_rule import Rule
from include.sandbox.oauth import Client, Token
from include.sandbox.population import Resource, Source
from include.sandbox.searching import Matchers
from include.sandbox.settings import Settings
from include.sandbox.store import Store

_SNAPSHOTS = 512


@dataclass(frozen=True)
class Place:
    """The ports and the practice code of the server."""

    fhir_port: int
    token_port: int
    practice: str


class Sandbox:
    def __init__(
        self, place: Place, settings: Settings, zone: ZoneInfo, sources: dict[str, Source], clients: list[Client]
    ) -> None:
        self.place, self.zone = place, zone
        self._start_clients = {client.id: client for client in clients}
        self.clients = dict(self._start_clients)
        self._start_settings = replace(settings)
        self.settings = settings
        self.clock = Clock(settings, zone)
        self.store = Store(sources, self.clock)
        self.matchers = Matchers(zone)
        self.served = Served()
        self.tokens: dict[str, Token] = {}
        self.used_jti: dict[str, float] = {}
        self.faults: list[Rule] = []
        self.exports: dict[str, Export] = {}
        # One client for all fetches: creating one costs 30 ms. It keeps no connection open between two tokens.
        self.http = httpx.AsyncClient(timeout=5, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
        self._snapshots: OrderedDict[str, Sequence[int]] = OrderedDict()
        self._searched: dict[str, float] = {}

    @property
    def origin(self) -> str:
        return self.settings.public_url.rstrip("/") or f"http://127.0.0.1:{self.place.fhir_port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}{self.base_path}"

    @property
    def base_path(self) -> str:
        return self.settings.base_path.replace("{practice}", self.place.practice)

    @property
    def export_base(self) -> str:
        """The base of the URLs of an export's status and files; `export_origin` may change it."""
        return self.settings.export_origin or self.link_base

    @property
    def link_base(self) -> str:
        """The base URL in links and fullUrls: eCW always writes http."""
        if self.settings.profile == "fhir":
            return self.base_url
        return f"http://{self.base_url.partition('://')[2]}"

    @property
    def token_url(self) -> str:
        return self.settings.public_token_url or f"http://127.0.0.1:{self.place.token_port}/oauth/oauth2/token"

    def remember(self, query: str, keys: Sequence[int]) -> None:
        """Keep the result of a search from its first page, so that later pages do not shift."""
        self._snapshots[query] = keys
        self._searched[query] = self.clock.now()
        self._snapshots.move_to_end(query)
        if len(self._snapshots) > _SNAPSHOTS:
            self._snapshots.popitem(last=False)

    def cached(self, query: str) -> Sequence[int] | None:
        """Return the result of the same search within the last `cache_seconds`, None if there is none."""
        fresh = self.clock.now() - self._searched.get(query, 0.0) < self.settings.cache_seconds
        return self.remembered(query) if fresh else None

    def shown(self, resource: Resource) -> Resource:
        """Return a record as a response shows it: with its versionId if the setting `versions` is on."""
        if not self.settings.versions:
            return resource
        version = str(self.store[resource["resourceType"]].version(resource["id"]))
        return {**resource, "meta": {**resource.get("meta", {}), "versionId": version}}

    def remembered(self, query: str) -> Sequence[int] | None:
        return self._snapshots.get(query)

    def reset(self) -> None:
        """Restore the state of the start, including settings and clients."""
        vars(self.settings).update(vars(self._start_settings))
        self.clients = dict(self._start_clients)
        self.store.reset()
        self.served = Served()
        for kept in (self.tokens, self.used_jti, self.faults, self.exports, self._snapshots, self._searched):
            kept.clear()


@dataclass
class Served:
    """How many responses by interaction, resource and status, and how many calls in each minute of the quota."""

    answers: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    minutes: Counter[int] = field(default_factory=Counter)
    elsewhere: int = 0  # calls to the token port that followed a link there
