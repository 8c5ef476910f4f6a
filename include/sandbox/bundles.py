"""Response bodies: searchset pages, OperationOutcomes, transaction responses; and eCW's content type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
from starlette.responses import Response

from include.sandbox.population import Resource

if TYPE_CHECKING:
    from include.sandbox.sandbox import Sandbox


class Refused(Exception):
    """The call is refused: the response is an OperationOutcome with this HTTP status."""

    def __init__(
        self,
        status: int,
        code: str,
        diagnostics: str,
        headers: Mapping[str, str] | None = None,
        expression: Sequence[str] = (),
    ) -> None:
        super().__init__(diagnostics)
        self.status, self.code, self.diagnostics, self.headers = status, code, diagnostics, headers
        self.expression = expression


def outcome(code: str, diagnostics: str, severity: str = "error", expression: Sequence[str] = ()) -> Resource:
    issue: Resource = {"severity": severity, "code": code, "diagnostics": diagnostics}
    if expression:
        issue["expression"] = list(expression)
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def fhir_answer(
    sandbox: Sandbox, body: Resource, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    kind = "application/fhir+json" if sandbox.settings.profile == "fhir" else "application/json+fhir;charset=UTF-8"
    return Response(orjson.dumps(body), status, {**(headers or {}), "Content-Type": kind})


@dataclass
class Page:
    """One page of a search, which faults may change before it is sent."""

    kind: str
    pairs: Sequence[tuple[str, str]]  # the parameters without `page`
    keys: Sequence[int]  # the numbers of all matches, in order
    number: int
    size: int
    resources: list[Resource] = field(default_factory=list)
    total: int = 0
    next_url: str | None = None  # "": a link without url

    def slice(self, number: int) -> Sequence[int]:
        return self.keys[(number - 1) * self.size : number * self.size]

    def url(self, sandbox: Sandbox, number: int) -> str:
        """Return the URL of a page; eCW adds a `_count` that it then refuses."""
        pairs = [*self.pairs, ("page", str(number))]
        if number > 1 and sandbox.settings.profile == "ecw":
            pairs.insert(len(self.pairs), ("_count", str(self.size)))
        query = f"?{urlencode(pairs)}"
        prefix = {"query": "", "relative": self.kind}.get(
            sandbox.settings.next_link, f"{sandbox.link_base}/{self.kind}"
        )
        return (prefix if number > 1 else f"{sandbox.link_base}/{self.kind}") + query


def searchset(sandbox: Sandbox, page: Page) -> dict[str, Any]:
    own = f"?{urlencode(page.pairs)}" if page.pairs else ""
    links = [{"relation": "self", "url": f"{sandbox.link_base}/{page.kind}{own}"}]
    if page.next_url:
        links.append({"relation": "next", "url": page.next_url})
    elif page.next_url == "" or sandbox.settings.next_link == "empty":
        links.append({"relation": "next"})
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": page.total, "link": links}
    if page.resources:  # an empty result has no entry at all
        bundle["entry"] = [
            {
                "fullUrl": f"{sandbox.link_base}/{page.kind}/{resource['id']}",
                "resource": resource,
                "search": {"mode": "match"},
            }
            for resource in page.resources
        ]
    return bundle


def transaction_response(status: str, location: str | None = None) -> Resource:
    """Return the response to a one-entry transaction; eCW puts its own code in the place of the HTTP status."""
    response: Resource = {"status": status}
    if location:
        response["location"] = location
    elif status in CODES:
        response["outcome"] = outcome("processing", CODES[status])
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": [{"response": response}]}


CODES = {
    "2": "Failure",
    "100": "Invalid patient",
    "101": "Invalid provider",
    "102": "Invalid coding system",
    "103": "Temporary failure",
    "104": "Temporary failure",
    "107": "Invalid facility",
    "108": "Unsupported characters",
    "109": "Value is too long",
    "117": "Invalid gender",
    "118": "Invalid name",
    "119": "Invalid birth date",
    "132": "Invalid extension",
    "151": "Invalid extension",
    "152": "Invalid extension",
    "165": "Invalid id",
    "201": "Several patients found",
    "202": "Patient already exists",
    "203": "Unsupported data",
    "204": "Invalid date format",
    "207": "Patient not found",
    "308": "No write-back user is configured for this practice",
    "605": "Invalid identifier",
    "608": "Id and patient do not match",
    "614": "Unsupported characters",
}
