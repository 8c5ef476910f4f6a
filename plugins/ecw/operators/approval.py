"""The approval of a push that is larger than usual, by Airflow's human-in-the-loop.

More creates or updates than the connection allows are either a first push or a mistake (a mapping, a mass edit), so a
person decides.  Without an approval the run sends nothing: if it sent patients up to the limit, the watcher would start
another run for the rest, and the limit would have no effect.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator

from ecw.models import Push, left_by

if TYPE_CHECKING:
    from airflow.sdk import Context

APPROVE, REJECT = "Approve", "Reject"


class ApprovePush(HITLOperator):
    """Ask for an approval if the plan needs one; return {"approved": bool, "by": name or None}.

    No answer within `approval_hours` is a rejection.
    """

    template_fields = ("push", "subject", "body")

    def __init__(self, *, push: Push, **kwargs: Any) -> None:
        # `approval_hours` ends the wait; an execution_timeout (the DAG's default_args set one) would include the wait.
        own = {"subject": "A large push", "options": [APPROVE, REJECT], "defaults": REJECT, "execution_timeout": None}
        super().__init__(**kwargs | own)
        self.push = push

    def execute(self, context: Context) -> dict[str, Any]:
        """Return at once if the push needs no approval; otherwise ask, and wait for the answer."""
        push = left_by("begin", self.push)
        if not push["needs_approval"]:
            return {"approved": True, "by": None}
        options = push["options"]
        self.subject = (
            f"Push {push['creates']} new and {push['updates']} changed patients to eCW (practice {push['practice']})?"
        )
        self.body = (
            f"Up to {options['max_creates']} new and {options['max_updates']} changed patients need no approval; "
            "the patients of all automatic runs of one day count together. "
            "A surprising number often comes from a mapping file or a mass edit. **Reject** sends none of them; "
            "a dry run of `ecw_push_patients` shows which fields of which patients would be sent."
        )
        self.response_timeout = timedelta(hours=options["approval_hours"])
        self.assigned_users = [{"id": name, "name": name} for name in options["approvers"]] or None
        answer: dict[str, Any] = super().execute(context)
        return answer

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the answer."""
        answer = super().execute_complete(context, event)
        user = answer.get("responded_by_user") or {}
        return {"approved": answer["chosen_options"] == [APPROVE], "by": user.get("name")}
