"""The bookkeeping tables and their indexes.  Every key begins with the practice.

One list, however long: a table is looked up by its name, and `docs/reference/tables.md` is made of it in this order.
"""

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


ecw_run = Table(
    "ecw_run",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("run_id", String(250), primary_key=True, comment="The Airflow run"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("run_type", String(32), nullable=False, comment="Airflow's: scheduled, manual, backfill, asset_triggered"),
    Column("mode", String(16), nullable=False, comment="Changes, full, patients, schedule, replay"),
    Column("state", String(16), nullable=False, comment="Running, loaded, failed"),
    Column("window_start", UtcTime, comment="Where the run's window begins"),
    Column("window_end", UtcTime, comment="Where it ends"),
    Column("started_at", UtcTime, nullable=False, comment="When the resource's work began"),
    Column("ended_at", UtcTime, comment="When it ended; none: it is running"),
    Column("fetched", Integer, comment="Records that eCW answered with"),
    Column("rejected", Integer, comment="Records that may not enter"),
    Column("inserted", Integer, comment="New rows"),
    Column("updated", Integer, comment="Changed rows"),
    Column("unchanged", Integer, comment="Records that the CRM has already"),
    Column("calls", Integer, comment="Number of calls"),
    Column("seconds", Float, comment="Time from begin to load"),
    Column("mapping_version", String(64), comment="Hash of the mapping file that made the row"),
    Column("fingerprint", String(64), comment="Of the batch that was loaded: a retry of the same one changes nothing"),
    Column("error", Text, comment="The error that ended it, without values"),
    Column("strategy", String(32), comment="How it was extracted"),
    Column(
        "locked", Integer, comment="Records among the unchanged whose CRM row takes no updates (emr_updates_locked)"
    ),
    Column("conflicts", Integer, comment="Columns that both sides had changed"),
    Column("pending_push", Integer, comment="Columns that only the CRM changed: the next push sends them"),
    Column("normalized_fields", Integer, comment="Columns that were sent and that eCW stores in its own spelling"),
    Column("deferred", Integer, comment="Records among the rejected that wait for another one"),
    Column("deferred_loaded", Integer, comment="Records among the fetched that had waited and were loaded"),
    Column("stale", Integer, comment="Records among the unchanged of which the CRM has a newer version"),
    Column("full_scan", Boolean, comment="All records were requested, whatever the window: see completeness"),
    Column("remaining_patients", Integer, comment="Patients whom an initial sync left to the next runs"),
    Column("remaining_due_at", UtcTime, comment="When the last of them is queried"),
    Column("patients_queried", Integer, comment="Patients who were queried one by one"),
    Column("deleted_at_source", Integer, comment="Records among the fetched that eCW no longer has"),
    Column("completeness", Text, comment="How it is known that nothing is missing among the fetched, as far as it is"),
    Column("still_stale", Integer, comment="Records among the stale that were so in an earlier run, too"),
    Column(
        "rewritten",
        Text,
        comment="Columns in which the CRM's table holds another value than was written, and how often",
    ),
    Column(
        "mapped_all", Boolean, comment="The unchanged are mapped too: said by a backfill's run, of what others share"
    ),
    Index("ecw_run_latest", "practice", "resource", "started_at"),
    Index("ecw_run_run_id", "run_id"),
    comment="One row for each resource of a run: the ledger.",
)

ecw_cursor = Table(
    "ecw_cursor",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("position", UtcTime, nullable=False, comment="The end of the last window that was loaded"),
    Column("run_id", String(250), nullable=False, comment="The Airflow run"),
    Column("moved_at", UtcTime, nullable=False, comment="When the cursor moved"),
    comment="How far the live runs have come.",
)

ecw_link = Table(
    "ecw_link",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("ecw_id", String(128), primary_key=True, comment="The record's id in eCW"),
    Column("crm_id", String(64), nullable=False, comment="The row's key in the CRM"),
    Column("hash", String(128), nullable=False, comment="Hash of the resource's content"),
    Column("mapping_version", String(64), nullable=False, comment="Hash of the mapping file that made the row"),
    Column("source_version", UtcTime, comment="Meta.lastUpdated"),
    Column("read_at", UtcTime, comment="By then eCW had given it: versions decide only between answers that may cross"),
    Column("stale_run", String(250), comment="The first run since then that brought an older version which crossed it"),
    Column("inserted_run", String(250), comment="None for a row that the CRM had before"),
    Column("updated_run", String(250), comment="The run that last changed the row"),
    Column("last_seen_run", String(250), nullable=False, comment="The last run that fetched the record"),
    Column("status", String(16), comment="Inactive, merged, deceased, deleted; none: nothing of the kind"),
    Column("status_reason", Text, comment="Why it has this status"),
    Column(
        "identity",
        Text,
        comment="JSON: whom the link was made, or confirmed by a person, for: see ecw.crm.load.identity",
    ),
    # One row of the CRM stands for one patient: two links to it would write into two charts.
    Index("ecw_link_crm_id", "crm_id", "resource", "practice", unique=True),
    comment="Which CRM record stands for which eCW record, and what it was made from.",
)

ecw_practice = Table(
    "ecw_practice",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("base_url", Text, nullable=False, comment="The base URL of the practice on its server"),
    Column("since", UtcTime, nullable=False, comment="When it began"),
    comment="Which server a practice code means: the same code on another server is another practice.",
)

ecw_claim = Table(
    "ecw_claim",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column(
        "name", String(80), primary_key=True, comment="A CRM id, or the digest of what else must not go side by side"
    ),
    Column("token", Integer, nullable=False, comment="Grows with each claim; who holds a smaller one has lost it"),
    Column("holder", Text, comment="The process; none: nobody"),
    Column("until", UtcTime, nullable=False, comment="A claim that is older is void"),
    comment="Who works on a record now, one row each that was ever claimed.  Whoever claims it later has a "
    "higher token, and what the earlier one still wants to write is refused.",
)

ecw_own_write = Table(
    "ecw_own_write",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("crm_id", String(64), primary_key=True, comment="The row's key in the CRM"),
    Column("stamp", Text, nullable=False, comment="The row's updated_at after our last write, as the database has it"),
    Column("edited", Text, comment="The row's updated_at from before: when the CRM changed it"),
    comment="Times that our own writes left in the CRM's rows, so that they are no edits of the CRM's: see "
    "ecw.crm.state.edit_times.",
)

ecw_field_change = Table(
    "ecw_field_change",
    metadata,
    Column("table", String(64), primary_key=True, comment="The table of the CRM"),
    Column("crm_id", String(64), primary_key=True, comment="The row's key in the CRM"),
    Column("column", String(128), primary_key=True, comment="The column's name"),
    Column("changed_at", UtcTime, nullable=False, comment="When the column was last changed"),
    comment="When the CRM last changed a field of a row, written by a trigger: whoever writes the row knows of "
    "no practice.",
)

ecw_initial_sync = Table(
    "ecw_initial_sync",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("patient", String(128), primary_key=True, comment="ECW id; '': the first run that was about all"),
    Column("run_id", String(250), comment="The run that looked; none: it is still to come"),
    _partial("ecw_initial_sync_due", "practice", where="run_id IS NULL"),
    comment="Whose insurance is still to be fetched for the first time: see ecw.crm.load.initial_sync.",
)

ecw_checked = Table(
    "ecw_checked",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("patient", String(128), primary_key=True, comment="ECW id"),
    Column("checked_at", UtcTime, nullable=False, comment="The end of the window of the run that asked"),
    Index("ecw_checked_at", "practice", "resource", "checked_at"),
    comment="When eCW was last asked about a patient's records, patient by patient: see ecw.crm.state.last_checked.",
)

ecw_deferred_row = Table(
    "ecw_deferred_row",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("ecw_id", String(128), primary_key=True, comment="The record's id in eCW"),
    Column("missing_resource", String(64), nullable=False, comment="The resource of the record that it waits for"),
    Column("missing_id", String(128), nullable=False, comment="The eCW id of that record"),
    Column("source_version", UtcTime, comment="Meta.lastUpdated of the resource"),
    Column("line", Text, nullable=False, comment="The staged line, JSON"),
    Column("read_at", UtcTime, comment="By then eCW had given it"),
    Column("deferred_run", String(250), nullable=False, comment="The run that deferred it"),
    Index("ecw_deferred_row_missing", "practice", "missing_resource", "missing_id"),
    comment="Rows that wait in the CRM until another record is linked: an encounter whose patient is not here yet.",
)

ecw_reject = Table(
    "ecw_reject",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("ecw_id", String(128), primary_key=True, comment="The record's id in eCW"),
    Column("step", String(16), primary_key=True, comment="The step that rejected it: map, check, load, push"),
    Column("rule", String(128), primary_key=True, comment="The rule that it breaks"),
    Column("column", String(128), primary_key=True, comment="'' where the reason is about the whole record"),
    Column("reason", Text, nullable=False, comment="Why, without values"),
    Column("hash", String(128), comment="Hash of the resource's content"),
    Column("source_version", UtcTime, comment="Meta.lastUpdated of the resource"),
    Column("batch", Text, comment="The staged file that still holds the record"),
    Column("state", String(16), nullable=False, comment="Open; dismissed: by a person; resolved"),
    Column("first_run", String(250), nullable=False, comment="The first run that found it"),
    Column("last_run", String(250), nullable=False, index=True, comment="The last run that found it"),
    Column("resolved_run", String(250), comment="The run after which it no longer held"),
    Column("read_at", UtcTime, comment="By then eCW had given it"),
    # The page of rejects: groups are counted, and one group is paged through, in the index alone.
    Index(
        *("ecw_reject_groups", "practice", "state", "resource", "step", "rule", "column", "first_run", "ecw_id"),
        "last_run",
    ),
    # What the console counts: open records, and open records by rule.
    _partial("ecw_reject_open", "practice", "resource", "ecw_id", "rule", where="state = 'open'"),
    _partial("ecw_reject_open_rule", "practice", "rule", "resource", "column", "ecw_id", where="state = 'open'"),
    comment="Records that may not enter, one row for each reason.",
)

ecw_quota = Table(
    "ecw_quota",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("minute", Integer, primary_key=True, comment="Minutes since 1970"),
    Column(
        "kind", String(16), primary_key=True, comment="On_demand, scheduled, backfill; refused: the server said 429"
    ),
    Column("calls", Integer, nullable=False, comment="Number of calls"),
    comment="API calls that were permitted, by clock minute of the server and kind of work.",
)

ecw_merge_base = Table(
    "ecw_merge_base",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("ecw_id", String(128), primary_key=True, comment="The record's id in eCW"),
    Column("emr", Text, nullable=False, comment="The values as eCW has them"),
    Column("crm", Text, comment="Those in which the CRM's side differs; none: it is the same"),
    Column("sent", Text, comment="Those sent to eCW and not seen there since"),
    comment="What the CRM and eCW last agreed on, for each link: see ecw.three_way_merge.  JSON, by column.",
)

ecw_intent = Table(
    "ecw_intent",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("crm_id", String(64), primary_key=True, comment="The row's key in the CRM"),
    Column("intent", String(64), nullable=False, comment="Digest of what the CRM says"),
    Column("operation", String(16), nullable=False, comment="Create, update"),
    Column("state", String(16), nullable=False, comment="Sending, unknown, done, refused, void, held"),
    Column("ecw_id", String(128), comment="The record's id in eCW"),
    Column("sent", Text, comment="The row that was sent, JSON: what an unknown outcome is searched by"),
    Column("attempts", Integer, nullable=False, comment="How often it was tried"),
    Column("decided_at", UtcTime, nullable=False, comment="When it was decided"),
    Column("settled_at", UtcTime, comment="When its outcome was known"),
    Column("run_id", String(250), nullable=False, comment="The Airflow run"),
    Column("match_rule", String(64), comment="The rule that holds the match"),
    Column("candidates", Text, comment="Their eCW ids, JSON"),
    Column("choice", String(128), comment="A person's answer: one of the candidates, or `new`"),
    Index("ecw_intent_state", "practice", "resource", "state"),
    Index("ecw_intent_decided_at", "practice", "resource", "decided_at"),
    comment="What was decided to be sent, one row for each record of the CRM: written before the request.",
)

ecw_push_item = Table(
    "ecw_push_item",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("run_id", String(250), primary_key=True, comment="The Airflow run"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("crm_id", String(64), primary_key=True, comment="The row's key in the CRM"),
    Column("position", Integer, nullable=False, comment="The order in which they are pushed"),
    Column("operation", String(16), nullable=False, comment="Create, update: what the plan says"),
    Column("intent", String(64), nullable=False, comment="Digest of what the CRM said then"),
    Column("dry", Boolean, nullable=False, comment="A dry run: nothing is sent"),
    Column("planned_at", UtcTime, nullable=False, comment="When it was planned"),
    Column("status", String(16), comment="As of ecw.push.context.Pushed; or waiting, not approved; none: not begun"),
    Column("at", UtcTime, comment="When it happened"),
    Column("ecw_id", String(128), comment="The record's id in eCW"),
    Column("fields", Text, comment="Names of columns that were sent, separated by commas"),
    Column("reason", Text, comment="Why, without values"),
    Column("next_step", Text, comment="What to do next"),
    Column("confirmed", String(16), comment="Complete, seen, not shown, not taken: what reading it back found"),
    Column("normalized_fields", Text, comment="Names of columns that eCW stores in its own spelling"),
    Column(
        "auto_started", Boolean, comment="The watcher started the run, and it was not so large that a person was asked"
    ),
    Index("ecw_push_item_crm_id", "practice", "resource", "crm_id"),
    Index("ecw_push_item_planned_at", "practice", "planned_at"),
    comment="What a run of the push planned, one row for each patient, and what happened to it: a run that is "
    "retried goes on here.",
)

_PAGES = ("at", "run_id", "entry")

ecw_journal = Table(
    "ecw_journal",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("entry", String(36), primary_key=True, comment="The entry's own id"),
    Column("at", UtcTime, nullable=False, comment="When it happened"),
    Column("run_id", String(250), nullable=False, comment="The Airflow run"),
    Column("direction", String(8), nullable=False, comment="Push, pull, decision"),
    Column("resource", String(64), nullable=False, comment="The resource, as in resources.py"),
    Column("operation", String(16), nullable=False, comment="Create, update, link, settle, ..."),
    Column("crm_id", String(64), comment="The row's key in the CRM"),
    Column("ecw_id", String(128), comment="The record's id in eCW"),
    Column("http_status", Integer, comment="The HTTP status of the answer"),
    Column("code", String(16), comment="ECW's own"),
    Column("message", Text, nullable=False, comment="What happened"),
    Column("outcome", String(32), nullable=False, comment="Result"),
    Column("next_step", Text, comment="What to do next"),
    Column("fields", Text, comment="Names of columns, separated by commas"),
    Column("seconds", Float, comment="Time from begin to load"),
    Column("decided_by", String(250), comment="Of a decision: Airflow's user, or the terminal's"),
    Column("before", Text, comment="What was chosen before, and after; none: nothing"),
    Column("after", Text, comment="The choice that holds now"),
    Column("initial_sync", Boolean, comment="Of a pull's: it was there before, and is seen for the first time"),
    Column(
        "vob",
        String(64),
        comment="Of a pull's: the key of the request that it opened; '': none; nothing: not read yet",
    ),
    # The pages of the Integration Logs, in their order: see ecw.reports.journal. Of outcome and direction the common
    # word needs no index, and half of the entries none of these.
    Index("ecw_journal_at", "practice", *_PAGES),
    Index("ecw_journal_by_resource", "practice", "resource", *_PAGES),
    Index("ecw_journal_by_run_id", "practice", "run_id", "at", "entry"),
    _partial("ecw_journal_by_outcome", "practice", "outcome", *_PAGES, where="outcome <> 'done'"),
    _partial("ecw_journal_by_direction", "practice", "direction", *_PAGES, where="direction <> 'pull'"),
    _partial("ecw_journal_by_code", "practice", "code", *_PAGES, where="code IS NOT NULL"),
    *(Index(f"ecw_journal_by_{name}", "practice", name, "at") for name in ("crm_id", "ecw_id")),
    _partial("ecw_journal_vob", "practice", "resource", "run_id", where="vob IS NULL AND direction = 'pull'"),
    comment="The Integration Logs: a row for every attempt to push, and for every change that was pulled.  No values.",
)

ecw_conflict = Table(
    "ecw_conflict",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("crm_id", String(64), primary_key=True, comment="The row's key in the CRM"),
    Column("column", String(128), primary_key=True, comment="The column's name"),
    Column("ecw_id", String(128), nullable=False, comment="The record's id in eCW"),
    Column("state", String(16), nullable=False, comment="Open: waits for a person; settled"),
    Column("winner", String(8), comment="Crm, emr"),
    Column("crm_value", Text, comment="JSON"),
    Column("emr_value", Text, comment="JSON"),
    Column("choice", String(8), comment="A person's answer: crm, emr"),
    Column("first_run", String(250), nullable=False, comment="The first run that found it"),
    Column("last_run", String(250), nullable=False, comment="The last run that found it"),
    Index("ecw_conflict_state", "practice", "resource", "state"),
    comment="Columns that both sides changed, one row each; the values stay here, in the CRM.",
)

ecw_quality_result = Table(
    "ecw_quality_result",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("run_id", String(250), primary_key=True, comment="The Airflow run"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("number", Integer, primary_key=True, autoincrement=False, comment="The rules in the file's order"),
    Column("at", UtcTime, nullable=False, comment="When it happened"),
    Column("rule", String(128), nullable=False, comment="The type of the expectation; `volume`"),
    Column("column", Text, nullable=False, comment="'' for the volume"),
    Column("demand", Text, nullable=False, comment="What the rule demands, in words"),
    Column("on_fail", String(16), nullable=False, comment="Warn, reject, stop"),
    Column("max_failed_ratio", Float, comment="Above this share of the rows the batch stops"),
    Column("reason", Text, nullable=False, comment="Why the rule is there"),
    Column("rows", Integer, nullable=False, comment="Records that were checked; of the volume: records that eCW has"),
    Column("broken", Integer, nullable=False, comment="Rows that break it; of the volume: records fewer than usual"),
    Column("broken_new", Integer, comment="Of those, the ones that no earlier run knew; of the volume: none"),
    Column("verdict", String(16), nullable=False, comment="Pass, warn, reject, stop"),
    Column("usual", Integer, comment="Of the volume: what comparable runs fetched"),
    Column("scope", String(16), comment="Of the volume: full, partial"),
    Index("ecw_quality_result_at", "practice", "resource", "at"),
    Index("ecw_quality_result_run", "run_id"),
    _partial("ecw_quality_runs", "practice", "run_id", "at", "number", where="number = 0"),  # the list of runs
    comment="What the check found in a batch, one row for each rule of the suite; number 0 is the batch's "
    "volume.  No values.",
)

ecw_alert = Table(
    "ecw_alert",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("alert", String(36), primary_key=True, comment="The alert's own id"),
    Column("kind", String(16), nullable=False, comment="Stale, equation, volume, stopped, rejects"),
    Column("subject", String(64), nullable=False, comment="A resource"),
    Column("message", Text, nullable=False, comment="What is wrong"),
    Column("next_step", Text, nullable=False, comment="What to do next"),
    Column("opened_at", UtcTime, nullable=False, comment="When it began"),
    Column("resolved_at", UtcTime, comment="None: open"),
    Column("run_id", String(250), comment="The run in which it was seen"),
    # One open alert for each subject, whatever runs at the same time.
    _partial("ecw_alert_open", "practice", "kind", "subject", where="resolved_at IS NULL", unique=True),
    comment="What is wrong, from when to when: one row each time it begins.  At most one is open for each subject.",
)

ecw_alert_notification = Table(
    "ecw_alert_notification",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("alert", String(36), primary_key=True, comment="The alert's own id"),
    Column("event", String(8), primary_key=True, comment="Begin, over"),
    Column("target", String(250), primary_key=True, comment="'webhook <connection>', 'email <address>'"),
    Column("made_at", UtcTime, nullable=False, comment="When it was made"),
    Column("claimed_at", UtcTime, comment="Somebody is sending it; a claim that is old is void"),
    Column("sent_at", UtcTime, comment="When it was sent"),
    comment="Notices to send and sent, one row for each alert, event and target.",
)
