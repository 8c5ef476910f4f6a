"""The bookkeeping tables and their indexes.  Every key begins with the practice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC on every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn any aware datetime into UTC; a naive one is a mistake of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Give SQLite's naive answer its zone back."""
        if value is None:
            return None
        found: datetime = value
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


metadata = MetaData()


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    condition = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


# One row for each resource of a run: the ledger.
ecw_run = Table(
    "ecw_run",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("run_id", String(250), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("run_type", String(32), nullable=False),
    Column("state", String(16), nullable=False),  # running, loaded, failed
    Column("window_start", UtcTime),
    Column("window_end", UtcTime),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("fetched", Integer),
    Column("rejected", Integer),
    Column("inserted", Integer),
    Column("updated", Integer),
    Column("unchanged", Integer),
    Column("calls", Integer),
    Column("seconds", Float),
    Column("mapping_version", String(64)),
    Column("fingerprint", String(64)),  # of the batch that was loaded: a retry of the same one changes nothing
    Column("error", Text),
    Column("strategy", String(32)),
    Column("locked", Integer),  # records among the unchanged whose CRM row takes no updates (emr_updates_locked)
    Column("conflicts", Integer),  # columns that both sides had changed
    Column("kept", Integer),  # columns that only the CRM had changed: they wait to be pushed
    Column("learned", Integer),  # columns that were sent, and that eCW spells in its own way
    Column("parked", Integer),  # records among the rejected that wait for another one
    Column("released", Integer),  # records among the fetched that had waited and came in
    Column("older", Integer),  # records among the unchanged of which the CRM has a newer version
    Column("whole", Boolean),  # all records were asked for, whatever the window: see completeness
    Column("later", Integer),  # patients whom a first look patient by patient left to the next runs
    Column("later_by", UtcTime),  # when the last of them is looked at
    Column("asked", Integer),  # patients who were asked about one by one
    Column("gone", Integer),  # records among the fetched that eCW no longer has
    Column("completeness", Text),  # how it is known that nothing is missing among the fetched, as far as it is
    Column("still_older", Integer),  # records among the older that were so in an earlier run, too
    Column("rewritten", Text),  # columns in which the CRM's table holds another value than was written, and how often
    Column("mapped_all", Boolean),  # the unchanged are mapped too: said by a backfill's run, of what others share
    Index("ecw_run_latest", "practice", "resource", "started_at"),
    Index("ecw_run_run_id", "run_id"),
)

# How far the live runs have come.
ecw_cursor = Table(
    "ecw_cursor",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("position", UtcTime, nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("moved_at", UtcTime, nullable=False),
)

# Which CRM record stands for which eCW record, and what it was made from.
ecw_link = Table(
    "ecw_link",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("ecw_id", String(128), primary_key=True),
    Column("crm_id", String(64), nullable=False),
    Column("hash", String(128), nullable=False),
    Column("mapping_version", String(64), nullable=False),
    Column("source_version", UtcTime),  # meta.lastUpdated
    Column("read_at", UtcTime),  # by then eCW had given it: versions decide only between answers that may cross
    Column("older_run", String(250)),  # the first run since then that brought an older version which crossed it
    Column("inserted_run", String(250)),  # none for a row that the CRM had before
    Column("updated_run", String(250)),
    Column("seen_run", String(250), nullable=False),
    Column("status", String(16)),  # inactive, merged, deceased, vanished; none: nothing of the kind
    Column("status_reason", Text),
    Column("identity", Text),  # JSON: whom the link was made, or confirmed by a person, for: see ecw.crm.identity
    # One row of the CRM stands for one patient: two links to it would write into two charts.
    Index("ecw_link_crm_id", "crm_id", "resource", "practice", unique=True),
)

# Which server a practice code means: the same code on another server is another practice.
ecw_practice = Table(
    "ecw_practice",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("base_url", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
)

# Who works on a record now, one row each that was ever claimed.  Whoever claims it later has a higher token, and what
# the earlier one still wants to write is refused.
ecw_claim = Table(
    "ecw_claim",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("name", String(80), primary_key=True),  # a CRM id, or the digest of what else must not go side by side
    Column("token", Integer, nullable=False),
    Column("holder", Text),  # the process; none: nobody
    Column("until", UtcTime, nullable=False),  # a claim that is older is void
)

# Times that our own writes left in the CRM's rows, so that they are no edits of the CRM's: see ecw.crm.edit_times.
ecw_own_write = Table(
    "ecw_own_write",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("crm_id", String(64), primary_key=True),
    Column("stamp", Text, nullable=False),  # the row's updated_at after our last write, as the database has it
    Column("edited", Text),  # the row's updated_at from before: when the CRM changed it
)

# When the CRM last changed a field of a row, written by a trigger: whoever writes the row knows of no practice.
ecw_field_change = Table(
    "ecw_field_change",
    metadata,
    Column("table", String(64), primary_key=True),
    Column("crm_id", String(64), primary_key=True),
    Column("column", String(128), primary_key=True),
    Column("changed_at", UtcTime, nullable=False),
)

# Whose insurance is still to be looked at for the first time: see ecw.crm.first_look.
ecw_first_look = Table(
    "ecw_first_look",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("patient", String(128), primary_key=True),  # eCW id; "": the first run that was about all
    Column("run_id", String(250)),  # the run that looked; none: it is still to come
    _partial("ecw_first_look_due", "practice", where="run_id IS NULL"),
)

# When eCW was last asked about a patient's records, patient by patient: see ecw.crm.checked.
ecw_checked = Table(
    "ecw_checked",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("patient", String(128), primary_key=True),  # eCW id
    Column("checked_at", UtcTime, nullable=False),  # the end of the window of the run that asked
)

# Rows that wait in the CRM until another record is linked: an encounter whose patient is not here yet.
ecw_parked = Table(
    "ecw_parked",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("ecw_id", String(128), primary_key=True),
    Column("missing_resource", String(64), nullable=False),
    Column("missing_id", String(128), nullable=False),
    Column("source_version", UtcTime),
    Column("line", Text, nullable=False),  # the staged line, JSON
    Column("read_at", UtcTime),  # by then eCW had given it
    Column("parked_run", String(250), nullable=False),
    Index("ecw_parked_missing", "practice", "missing_resource", "missing_id"),
)

# Records that may not enter, one row for each reason.
ecw_reject = Table(
    "ecw_reject",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("ecw_id", String(128), primary_key=True),
    Column("step", String(16), primary_key=True),
    Column("rule", String(128), primary_key=True),
    Column("column", String(128), primary_key=True),  # "" where the reason is about the whole record
    Column("reason", Text, nullable=False),
    Column("hash", String(128)),
    Column("source_version", UtcTime),
    Column("batch", Text),  # the staged file that still holds the record
    Column("state", String(16), nullable=False),  # open, resolved
    Column("first_run", String(250), nullable=False),
    Column("last_run", String(250), nullable=False, index=True),
    Column("resolved_run", String(250)),
    Column("read_at", UtcTime),  # by then eCW had given it
)

# API calls that were permitted, by clock minute of the server and kind of work.
ecw_quota = Table(
    "ecw_quota",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("minute", Integer, primary_key=True),  # minutes since 1970
    Column("kind", String(16), primary_key=True),  # on_demand, scheduled, backfill; refused: the server said 429
    Column("calls", Integer, nullable=False),
)

# What the CRM and eCW last agreed on, for each link: see ecw.agreement.  JSON, by column.
ecw_agreed = Table(
    "ecw_agreed",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("ecw_id", String(128), primary_key=True),
    Column("emr", Text, nullable=False),  # the values as eCW has them
    Column("crm", Text),  # those in which the CRM's side differs; none: it is the same
    Column("sent", Text),  # those sent to eCW and not seen there since
)

# What was decided to be sent, one row for each record of the CRM: written before the request.
ecw_intent = Table(
    "ecw_intent",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("crm_id", String(64), primary_key=True),
    Column("intent", String(64), nullable=False),  # digest of what the CRM says
    Column("operation", String(16), nullable=False),  # create, update
    Column("state", String(16), nullable=False),  # sending, unknown, done, refused, void, held
    Column("ecw_id", String(128)),
    Column("sent", Text),  # the row that was sent, JSON: what an unknown outcome is searched by
    Column("attempts", Integer, nullable=False),
    Column("decided_at", UtcTime, nullable=False),
    Column("settled_at", UtcTime),
    Column("run_id", String(250), nullable=False),
    Column("rung", String(64)),  # of a match that is held
    Column("candidates", Text),  # their eCW ids, JSON
    Column("choice", String(128)),  # a person's answer: one of the candidates, or `new`
    Index("ecw_intent_state", "practice", "resource", "state"),
    Index("ecw_intent_decided_at", "practice", "resource", "decided_at"),
)

# What a run of the push planned, one row for each patient, and what became of it: a run that is retried goes on here.
ecw_push = Table(
    "ecw_push",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("run_id", String(250), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("crm_id", String(64), primary_key=True),
    Column("position", Integer, nullable=False),  # the order in which they are pushed
    Column("way", String(16), nullable=False),  # create, update: what was to be done when it was planned
    Column("intent", String(64), nullable=False),  # digest of what the CRM said then
    Column("dry", Boolean, nullable=False),
    Column("planned_at", UtcTime, nullable=False),
    Column("did", String(16)),  # a word of ecw.push.pushing.Pushed, or waiting, not approved; none: not begun
    Column("at", UtcTime),
    Column("ecw_id", String(128)),
    Column("fields", Text),  # names of columns that were sent, separated by commas
    Column("reason", Text),
    Column("next_move", Text),
    Column("confirmed", String(16)),  # whole, seen, not shown, not taken: what reading it back found
    Column("learned", Text),  # names of columns that eCW spells in its own way
    Column("unasked", Boolean),  # the watcher started the run, and it was not so large that a person was asked
    Index("ecw_push_crm_id", "practice", "resource", "crm_id"),
    Index("ecw_push_planned_at", "practice", "planned_at"),
)

# The Integration Logs: a row for every attempt to push, and for every change that was pulled.  No values.
ecw_journal = Table(
    "ecw_journal",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("entry", String(36), primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("direction", String(8), nullable=False),  # push, pull, decision
    Column("resource", String(64), nullable=False),
    Column("operation", String(16), nullable=False),  # create, update, link, settle …
    Column("crm_id", String(64)),
    Column("ecw_id", String(128)),
    Column("http_status", Integer),
    Column("code", String(16)),  # eCW's own
    Column("words", Text, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("advice", Text),
    Column("fields", Text),  # names of columns, separated by commas
    Column("seconds", Float),
    Column("decided_by", String(250)),  # of a decision: Airflow's user, or the terminal's
    Column("before", Text),  # what was chosen before, and after; none: nothing
    Column("after", Text),
    Column("first_look", Boolean),  # of a pull's: it was there before, and is seen for the first time
    Column("vob", String(64)),  # of a pull's: the key of the request that it opened; "": none; nothing: not looked at
    Index("ecw_journal_at", "practice", "at"),
    # One for each field of the page's form, in the page's order.
    *(
        Index(f"ecw_journal_by_{name}", "practice", name, "at")
        for name in ("direction", "resource", "outcome", "run_id", "crm_id", "ecw_id")
    ),
    Index("ecw_journal_crm_id", "practice", "resource", "crm_id"),
    _partial("ecw_journal_vob", "practice", "resource", "run_id", where="vob IS NULL AND direction = 'pull'"),
)

# Columns that both sides changed, one row each; the values stay here, in the CRM.
ecw_conflict = Table(
    "ecw_conflict",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("crm_id", String(64), primary_key=True),
    Column("column", String(128), primary_key=True),
    Column("ecw_id", String(128), nullable=False),
    Column("state", String(16), nullable=False),  # open: waits for a person; settled
    Column("winner", String(8)),  # crm, emr
    Column("crm_value", Text),  # JSON
    Column("emr_value", Text),  # JSON
    Column("choice", String(8)),  # a person's answer: crm, emr
    Column("first_run", String(250), nullable=False),
    Column("last_run", String(250), nullable=False),
    Index("ecw_conflict_state", "practice", "resource", "state"),
)

# What the check found in a batch, one row for each rule of the suite; number 0 is the batch's volume.  No values.
ecw_quality = Table(
    "ecw_quality",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("run_id", String(250), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # the rules in the file's order
    Column("at", UtcTime, nullable=False),
    Column("rule", String(32), nullable=False),  # the check's word; `volume`
    Column("column", Text, nullable=False),  # "" for the volume
    Column("demand", Text, nullable=False),
    Column("otherwise", String(16), nullable=False),  # warn, reject, stop
    Column("stop_above", Float),  # share of the rows
    Column("why", Text, nullable=False),
    Column("rows", Integer, nullable=False),  # records that were looked at; of the volume: records that eCW has
    Column("broken", Integer, nullable=False),  # rows that break it; of the volume: records fewer than usual
    Column("broken_new", Integer),  # of those, the ones that no earlier run knew; of the volume: none
    Column("verdict", String(16), nullable=False),  # pass, warn, reject, stop
    Column("usual", Integer),  # of the volume: what comparable runs fetched
    Column("scope", String(16)),  # of the volume: whole, part
    Index("ecw_quality_at", "practice", "resource", "at"),
    Index("ecw_quality_run", "run_id"),
    _partial("ecw_quality_runs", "practice", "run_id", "at", "number", where="number = 0"),  # the list of runs
)

# What is amiss, from when to when: one row each time it begins.  At most one is open for each subject.
ecw_alert = Table(
    "ecw_alert",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("alert", String(36), primary_key=True),
    Column("kind", String(16), nullable=False),  # stale, equation, volume, stopped, rejects
    Column("subject", String(64), nullable=False),  # a resource
    Column("words", Text, nullable=False),
    Column("next_move", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("over_at", UtcTime),  # none: open
    Column("run_id", String(250)),  # the run in which it was seen
    # One open alert for each subject, whatever runs at the same time.
    _partial("ecw_alert_open", "practice", "kind", "subject", where="over_at IS NULL", unique=True),
)

# Notices to send and sent, one row for each alert, event and target.
ecw_notice = Table(
    "ecw_notice",
    metadata,
    Column("practice", String(64), primary_key=True),
    Column("alert", String(36), primary_key=True),
    Column("event", String(8), primary_key=True),  # begin, over
    Column("target", String(250), primary_key=True),  # "webhook <connection>", "email <address>"
    Column("made_at", UtcTime, nullable=False),
    Column("claimed_at", UtcTime),  # somebody is sending it; a claim that is old is void
    Column("told_at", UtcTime),
)
