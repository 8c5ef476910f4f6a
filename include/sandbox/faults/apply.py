"""The four points at which a handler meets the faults that rules have switched on.

`before` it runs, when it filters (`honoured`), when it has made a page (`change_page`), and `after` it has answered.
`../README.md` lists the kinds. They are implemented in `response_faults` and `page_faults`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from include.sandbox.bundles import Page
from include.sandbox.faults.fault_rule import Rule
from include.sandbox.faults.page_faults import ON_PAGE
from include.sandbox.faults.response_faults import AFTER, ANSWERS, BEFORE, BROKEN

if TYPE_CHECKING:
    from include.sandbox.endpoints.serving import Call

KINDS = {"ignore_filter", *BEFORE, *ON_PAGE, *AFTER}


def rule_of(**fields: Any) -> Rule:
    """Return the rule with these fields.

    Raises TypeError for a field that does not exist, ValueError for an unknown kind or value.
    """
    rule = Rule(**fields)
    if rule.kind == "write_answer" and rule.value not in ANSWERS:
        raise ValueError(f"write_answer needs a value: {', '.join(ANSWERS)}")
    if rule.kind == "break_record" and rule.value not in ("", *BROKEN):
        raise ValueError(f"break_record needs a value: {', '.join(BROKEN)}")
    if rule.kind not in KINDS:
        raise ValueError(f"there is no fault {rule.kind!r}; there are: {', '.join(sorted(KINDS))}")
    return rule


def firing(call: Call) -> list[Rule]:
    """Return the rules whose fault this call gets; each rule that applies counts the call."""
    return [rule for rule in call.sandbox.faults if rule.fires(call)]


async def before(call: Call) -> Response | None:
    """Return the response of a fault that replaces the handler, None if the handler has to run."""
    for rule in call.rules:
        if fault := BEFORE.get(rule.kind):
            response = await fault(call, rule)
            if response is not None:
                return response
    return None


def honoured(call: Call, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the parameters that the server filters by: `ignore_filter` removes the one that it names, or all."""
    ignored = [rule.value for rule in call.rules if rule.kind == "ignore_filter"]
    return [pair for pair in pairs if "" not in ignored and pair[0] not in ignored]


def change_page(call: Call, page: Page) -> None:
    """Apply the faults of a search page."""
    for rule in call.rules:
        if fault := ON_PAGE.get(rule.kind):
            fault(call, rule, page)


async def after(call: Call, response: Response) -> Response:
    """Return the response of the handler, changed by the faults."""
    for rule in call.rules:
        if fault := AFTER.get(rule.kind):
            response = fault(call, rule, response)
    return response
