"""Send one notification to one target, through the notifiers of Airflow's HTTP and SMTP providers."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from ecw.alerts.settings import Settings
from ecw.alerts.store import OVER, Notice

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier

SECONDS = 10  # for the webhook's answer


def send(notice: Notice, settings: Settings) -> None:
    """Send a notification; it did not arrive if the notifier raises anything."""
    # `notify`, because calling the notifier would first render the text as a Jinja template.
    _notifier(notice, settings).notify({})


def _notifier(notice: Notice, settings: Settings) -> BaseNotifier:
    kind, address = notice.target.split(" ", 1)
    if kind == "webhook":
        from airflow.providers.http.notifications import HttpNotifier

        return HttpNotifier(http_conn_id=address, json=document(notice), extra_options={"timeout": SECONDS})
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    return SmtpNotifier(
        to=address,
        subject=title(notice),
        html_content="".join(f"<p>{escape(line)}</p>" for line in text(notice).splitlines()),
        smtp_conn_id=settings.smtp,
    )


def title(notice: Notice) -> str:
    """Return the notification's title: practice, subject and kind, and `over` for an alert that ended."""
    one = notice.alert
    return f"eCW {one.practice}: {one.subject} {one.kind}{', over' if notice.event == OVER else ''}"


def text(notice: Notice) -> str:
    """Return the notification's lines: title, message, the times of begin and end, the next step."""
    one = notice.alert
    lines = [f"{title(notice)}.", one.message, f"Since {one.opened_at:%Y-%m-%d %H:%M} UTC."]
    if notice.event == OVER:
        lines.append(f"Over since {one.resolved_at:%Y-%m-%d %H:%M} UTC: nothing to do.")
    else:
        lines.append(f"Next: {one.next_step}")
    return "\n".join(lines)


def document(notice: Notice) -> dict[str, Any]:
    """Return the body of a webhook; chat services show its `text`."""
    one = notice.alert
    return {
        "text": text(notice),
        "event": notice.event,
        "practice": one.practice,
        "kind": one.kind,
        "subject": one.subject,
        "message": one.message,
        "opened_at": one.opened_at.isoformat(),
        "resolved_at": one.resolved_at.isoformat() if notice.event == OVER and one.resolved_at else None,
        "next_step": None if notice.event == OVER else one.next_step,
        "run_id": one.run_id,
    }
