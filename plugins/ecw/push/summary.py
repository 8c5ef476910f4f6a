"""The table at the end of every push run: ids, counts, names of fields, and the next steps."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Engine

from ecw.crm.db.enums import WRITTEN, PushStatus
from ecw.models import Push
from ecw.push.plan.outbox import WITHOUT_PRACTICE
from ecw.push.plan.select import TRIED, WAITS
from ecw.push.progress import NOT_APPROVED, NOT_TRIED, WAITING, Ending, Progress

# In the order of the table; a waiting patient is shown as not approved or not tried.
WORDS = tuple(status for status in PushStatus if status is not PushStatus.WAITING)
WELL = (*WRITTEN, PushStatus.UNCHANGED, PushStatus.SKIPPED, PushStatus.BUSY)
NOT_SENT = {
    "refused": "eCW or the validation refused them: fix them in the CRM; `ecw status` counts the reasons.",
    "held": "a person must decide: `ecw matches`.",
    WITHOUT_PRACTICE: "fill the row's practice: `ecw practice rows` lists such rows.",
    "locked": "emr_updates_locked is set in the CRM.",
    "another practice's": "give each practice a CRM database of its own.",
    "not agreed": "pull the patients once: the push needs the values of both sides.",
    NOT_APPROVED: "trigger a run by hand to send them, or to be asked again.",
    WAITS: "answer the open approval: Browse > Required Actions.",
    TRIED: "nothing: they are tried again within the hour, or as soon as they change in the CRM.",
    "over the limit": "run again: the form's limit has left them out.",
}
_UNFINISHED = (  # a patient's status, and its final status if the run ends with it
    (
        WAITING,
        Ending(
            NOT_APPROVED,
            "the run ended before anybody approved it",
            "read the log of `approve`, then clear it, or trigger a run by hand.",
        ),
    ),
    (
        None,
        Ending(
            NOT_TRIED,
            "the run ended before it pushed this patient",
            "read the log of the task that is not green, then clear it.",
        ),
    ),
)
SHOWN = 200  # the most patients in the table; the CRM's table ecw_push_item has all


def close(engine: Engine, push: Push) -> dict[str, Any]:
    """Mark the patients that the run did not finish, and return its table."""
    progress = Progress.of(engine, push)
    for status, ending in _UNFINISHED:
        progress.note_rest([status], ending)
    rows = progress.rows()
    dry = bool(push["options"]["dry_run"])
    counts = Counter(row["status"] for row in rows)
    shown = [row for row in rows if dry or row["reason"] or row["status"] not in WELL]
    normalized_fields = Counter(name for row in rows for name in (row["normalized_fields"] or "").split(", ") if name)
    confirmed = Counter(row["confirmed"] for row in rows if row["confirmed"])
    return {
        "practice": push["practice"],
        "run_id": push["run_id"],
        "dry_run": dry,
        "patients": len(rows),
        "counts": {word.value: counts[word] for word in WORDS if counts[word]},
        "not_sent": push["not_sent"],
        "confirmed": dict(confirmed),
        "normalized_fields": dict(normalized_fields),
        "shown": [_one(row) for row in shown[:SHOWN]],
        "not_shown": max(0, len(shown) - SHOWN),
    }


def _one(row: dict[str, Any]) -> dict[str, Any]:
    names = ("crm_id", "ecw_id", "status", "fields", "reason", "next_step")
    return {name: row[name] for name in names if row[name]}


def as_text(table: dict[str, Any]) -> str:
    """Return the table as text."""
    would = "would be " if table["dry_run"] else ""
    lines = [f"{would}{word:12} {count}" for word, count in table["counts"].items()] or ["nothing to push"]
    lines += [f"not sent: {count} {why}: {NOT_SENT.get(why, '')}" for why, count in table["not_sent"].items()]
    if table["confirmed"]:
        lines.append("read back: " + ", ".join(f"{count} {word}" for word, count in table["confirmed"].items()))
    if table["normalized_fields"]:
        spelled = ", ".join(f"{name} {count}" for name, count in sorted(table["normalized_fields"].items()))
        lines.append(f"eCW spells in its own way: {spelled}")
    lines += [_line(one) for one in table["shown"]]
    if table["not_shown"]:
        lines.append(f"{table['not_shown']} more are in the CRM's table ecw_push_item")
    return "\n".join(lines)


def _line(one: dict[str, Any]) -> str:
    parts = [f"{one['crm_id']}: {one['status']}", one.get("fields"), one.get("reason")]
    text = ", ".join(part for part in parts if part)
    return f"{text}. Next: {one['next_step']}" if one.get("next_step") else text
