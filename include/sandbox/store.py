"""The records that are served: a source that never changes, and the records stored and deleted since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from include.sandbox.clock import Clock
from include.sandbox.population import Resource, Source

ADDED_FROM = 1 << 48  # numbers of added records are above all numbers of a source


class Collection:
    """All records of one type, numbered in the order of a list search."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._changed: dict[int, Resource | None] = {}  # None: deleted
        self._added: dict[str, int] = {}
        self.hidden_until: dict[int, float] = {}
        self._versions: dict[int, int] = {}

    def __len__(self) -> int:
        deleted = sum(resource is None for resource in self._changed.values())
        return len(self.source) + len(self._added) - deleted

    def numbers(self) -> Iterator[int]:
        for key in self.source.numbers():
            if key not in self._changed or self._changed[key] is not None:
                yield key
        yield from (key for key in self._added.values() if self._changed[key] is not None)

    def candidates(self, params: Mapping[str, str]) -> Iterable[int]:
        """Return numbers that include all matches, in the order of a list search."""
        candidates = self.source.candidates(params)
        if candidates is None:
            return self.numbers()
        changed = (key for key, resource in self._changed.items() if resource is not None)
        return sorted({key for key in candidates if key not in self._changed} | set(changed))

    def key_of(self, ecw_id: str) -> int | None:
        key = self._added.get(ecw_id)
        return self.source.key_of(ecw_id) if key is None else key

    def at(self, key: int) -> Resource | None:
        return self._changed[key] if key in self._changed else self.source.resource(key)

    def get(self, ecw_id: str) -> Resource | None:
        key = self.key_of(ecw_id)
        return None if key is None else self.at(key)

    def was_deleted(self, ecw_id: str) -> bool:
        key = self.key_of(ecw_id)
        return key is not None and self.at(key) is None

    def put(self, resource: Resource) -> int:
        key = self.key_of(resource["id"])
        if key is None:
            key = self._added[resource["id"]] = ADDED_FROM + len(self._added)
        self._changed[key] = resource
        self._versions[key] = self.version(resource["id"]) + 1
        return key

    def version(self, ecw_id: str) -> int:
        """Return how often a record was stored; the source counts as once."""
        key = self.key_of(ecw_id)
        known = key is not None and (key in self._versions or key < ADDED_FROM)
        return self._versions.get(key, 1) if key is not None and known else 0

    def delete(self, ecw_id: str) -> bool:
        """Delete a record; return True if it existed."""
        key = self.key_of(ecw_id)
        if key is None or self.at(key) is None:
            return False
        self._changed[key] = None
        return True

    def reset(self) -> None:
        self._changed.clear()
        self._added.clear()
        self.hidden_until.clear()
        self._versions.clear()


class Store:
    """One collection per type."""

    def __init__(self, sources: Mapping[str, Source], clock: Clock) -> None:
        self.types = {kind: Collection(source) for kind, source in sources.items()}
        self.clock = clock

    def __getitem__(self, kind: str) -> Collection:
        return self.types[kind]

    def put(self, resource: Resource, *, stamp: bool = True) -> Resource:
        """Store a record and return it; with `stamp` its `meta.lastUpdated` becomes the present time."""
        if stamp and resource["resourceType"] != "Organization":
            resource = {**resource, "meta": {**resource.get("meta", {}), "lastUpdated": self.clock.stamp()}}
        self[resource["resourceType"]].put(resource)
        return resource

    def hide(self, kind: str, ecw_id: str, seconds: float) -> None:
        """Hide a record from reads and searches for some seconds."""
        key = self[kind].key_of(ecw_id)
        if seconds and key is not None:
            self[kind].hidden_until[key] = self.clock.now() + seconds

    def readable(self, kind: str, ecw_id: str) -> Resource | None:
        """Return a record, None if it does not exist or is hidden."""
        collection = self[kind]
        key = collection.key_of(ecw_id)
        return None if key is None or self.is_hidden(collection, key) else collection.at(key)

    def is_hidden(self, collection: Collection, key: int) -> bool:
        until = collection.hidden_until.get(key)
        return until is not None and until > self.clock.now()

    def all(self, kind: str) -> Iterator[Resource]:
        for key in self[kind].numbers():
            if resource := self[kind].at(key):
                yield resource

    def reset(self) -> None:
        for collection in self.types.values():
            collection.reset()
