"""The approval of a push that is larger than usual, by Airflow's human-in-the-loop.

More creates or updates than the connection allows by itself are either a first push or a mistake (a mapping, a mass
edit), so a person looks first.  Without an approval nothing of the run is sent: had the first ones gone out, the
watcher would have started the next run for the next ones, and the limit would be none.
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
    """Ask where the plan needs it; return whether it was approved, and by whom.  Silence is a rejection."""

    template_fields = ("push", "subject", "body")

    def __init__(self, *, push: Push, **kwargs: Any) -> None:
        # The wait ends by `approval_hours`; an execution_timeout, as a DAG's default_args give one, would count it too.
        own = {"subject": "A large push", "options": [APPROVE, REJECT], "defaults": REJECT, "execution_timeout": None}
        super().__init__(**kwargs | own)
        self.push = push

    def execute(self, context: Context) -> dict[str, Any]:
        """Return at once where nobody need be asked."""
        push = left_by("begin", self.push)
        if not push["needs_approval"]:
            return {"approved": True, "by": None}
        wanted = push["options"]
        self.subject = (
            f"Push {push['creates']} new and {push['updates']} changed patients to eCW (practice {push['practice']})?"
        )
        self.body = (
            f"Up to {wanted['max_creates']} new and {wanted['max_updates']} changed patients go without asking; "
            "of runs that start by themselves, those of one day count together. "
            "A number that nobody expects is often a mapping file or a mass edit. **Reject** sends none of them; "
            "a dry run of `ecw_push_patients` shows which fields of which patients would be sent."
        )
        self.response_timeout = timedelta(hours=wanted["approval_hours"])
        self.assigned_users = [{"id": name, "name": name} for name in wanted["approvers"]] or None
        answer: dict[str, Any] = super().execute(context)
        return answer

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the answer."""
        answer = super().execute_complete(context, event)
        user = answer.get("responded_by_user") or {}
        return {"approved": answer["chosen_options"] == [APPROVE], "by": user.get("name")}
