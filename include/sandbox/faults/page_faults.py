"""Faults of a search page, and changes of records between two pages of one search."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from include.sandbox.bundles import Page
from include.sandbox.faults.fault_rule import Rule

if TYPE_CHECKING:
    from include.sandbox.endpoints.serving import Call


def _wrong_total(call: Call, rule: Rule, page: Page) -> None:
    page.total = int(rule.value or page.total + 7)


def _next_loops(call: Call, rule: Rule, page: Page) -> None:
    page.next_url = page.url(call.sandbox, page.number)


def _next_elsewhere(call: Call, rule: Rule, page: Page) -> None:
    """Let the next link point to another host: by default to the token port, which counts these calls."""
    if page.next_url:
        host = rule.value or f"127.0.0.1:{call.sandbox.place.token_port}"
        page.next_url = f"http://{host}/{page.next_url.split('/', 3)[3]}"


def _next_gone(call: Call, rule: Rule, page: Page) -> None:
    """Keep the next link, but answer it with 410."""
    if page.next_url:
        call.sandbox.faults.append(Rule("gone", "search", page.kind, page=page.number + 1, times=1))


def _next_empty(call: Call, rule: Rule, page: Page) -> None:
    """Send a next link without a URL."""
    page.next_url = ""


def _repeat(call: Call, rule: Rule, page: Page) -> None:
    """Begin the page with up to five of the last records of the page before."""
    if page.number > 1:
        collection = call.sandbox.store[page.kind]
        again = [collection.at(key) for key in page.slice(page.number - 1)[-5:]]
        page.resources[:0] = [resource for resource in again if resource]


def _change_next(call: Call, rule: Rule, page: Page) -> None:
    """Merge, deactivate or delete the first record of the next page before that page is requested."""
    store, next_keys = call.sandbox.store, page.slice(page.number + 1)
    resource = store[page.kind].at(next_keys[0]) if next_keys else None
    if resource is None:
        return
    rule.touched.append(resource["id"])
    if rule.kind == "delete_next":
        store[page.kind].delete(resource["id"])
        return
    changed: dict[str, Any] = {**resource, "active": False}
    if rule.kind == "merge_next" and page.resources:
        other = {"reference": f"{page.kind}/{page.resources[0]['id']}"}
        changed["link"] = [{"other": other, "type": "replaced-by"}]
    store.put(changed)


def _edit_page(call: Call, rule: Rule, page: Page) -> None:
    """Store the page's first record again when the page is sent: its `meta.lastUpdated` is new."""
    if page.resources:
        rule.touched.append(page.resources[0]["id"])
        call.sandbox.store.put(page.resources[0])


ON_PAGE: dict[str, Callable[[Call, Rule, Page], None]] = {
    "wrong_total": _wrong_total,
    "next_loops": _next_loops,
    "next_elsewhere": _next_elsewhere,
    "next_gone": _next_gone,
    "next_empty": _next_empty,
    "repeat": _repeat,
    "merge_next": _change_next,
    "deactivate_next": _change_next,
    "delete_next": _change_next,
    "edit_page": _edit_page,
}
