"""Send one notification to one target, through the notifiers of Airflow's HTTP and SMTP providers."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from ecw.alerts.settings import Settings
from ecw.alerts.store import OVER, Notification

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier

SECONDS = 10  # for the webhook's answer


def send(notification: Notification, settings: Settings) -> None:
    """Send a notification; it did not arrive if the notifier raises anything."""
    # `notify`, because calling the notifier would first render the text as a Jinja template.
    _notifier(notification, settings).notify({})


def _notifier(notification: Notification, settings: Settings) -> BaseNotifier:
    kind, address = notification.target.split(" ", 1)
    if kind == "webhook":
        from airflow.providers.http.notifications import HttpNotifier

        return HttpNotifier(http_conn_id=address, json=document(notification), extra_options={"timeout": SECONDS})
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    return SmtpNotifier(
        to=address,
        subject=title(notification),
        html_content="".join(f"<p>{escape(line)}</p>" for line in text(notification).splitlines()),
        smtp_conn_id=settings.smtp,
    )


def title(notification: Notification) -> str:
    """Return the notification's title: practice, subject and kind, and `over` for an alert that ended."""
    one = notification.alert
    return f"eCW {one.practice}: {one.subject} {one.kind}{', over' if notification.event == OVER else ''}"


def text(notification: Notification) -> str:
    """Return the notification's lines: title, message, the times of begin and end, the next step."""
    one = notification.alert
    lines = [f"{title(notification)}.", one.message, f"Since {one.opened_at:%Y-%m-%d %H:%M} UTC."]
    if notification.event == OVER:
        lines.append(f"Over since {one.resolved_at:%Y-%m-%d %H:%M} UTC: nothing to do.")
    else:
        lines.append(f"Next: {one.next_step}")
    return "\n".join(lines)


def document(notification: Notification) -> dict[str, Any]:
    """Return the body of a webhook; chat services show its `text`."""
    one = notification.alert
    return {
        "text": text(notification),
        "event": notification.event,
        "practice": one.practice,
        "kind": one.kind,
        "subject": one.subject,
        "message": one.message,
        "opened_at": one.opened_at.isoformat(),
        "resolved_at": one.resolved_at.isoformat() if notification.event == OVER and one.resolved_at else None,
        "next_step": None if notification.event == OVER else one.next_step,
        "run_id": one.run_id,
    }
