"""The bookkeeping tables and their indexes.  Every key begins with the practice, except ecw_field_change's.

They are one long list, because a reader looks a table up by its name. `docs/reference/tables.md` is generated from it.
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
        """Convert an aware datetime to UTC.  Raises ValueError for a naive one, which is a mistake of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Return an aware datetime in UTC; SQLite returns naive ones."""
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
    Column(
        "run_type",
        String(32),
        nullable=False,
        comment="Airflow's run type: scheduled, manual, backfill, asset_triggered",
    ),
    Column("mode", String(16), nullable=False, comment="changes, full, patients, schedule, replay"),
    Column("state", String(16), nullable=False, comment="running, loaded, failed, dry"),
    Column("window_start", UtcTime, comment="Begin of the window, none: no lower bound"),
    Column("window_end", UtcTime, comment="End of the window"),
    Column("started_at", UtcTime, nullable=False, comment="When the resource's work began"),
    Column("ended_at", UtcTime, comment="When it ended, none: it is running"),
    Column("fetched", Integer, comment="Records that eCW returned, and deferred rows that were loaded"),
    Column("rejected", Integer, comment="Records that were rejected or deferred"),
    Column("inserted", Integer, comment="Rows inserted into the CRM"),
    Column("updated", Integer, comment="Rows updated in the CRM"),
    Column("unchanged", Integer, comment="Records that changed nothing in the CRM"),
    Column("calls", Integer, comment="API calls to eCW"),
    Column("seconds", Float, comment="Seconds of work from extract to load"),
    Column("mapping_version", String(64), comment="Hash of the mapping file that made the row"),
    Column("fingerprint", String(64), comment="Hash of the loaded batch: a retry with the same batch changes nothing"),
    Column("error", Text, comment="The error of a failed resource, without values"),
    Column("strategy", String(32), comment="The extraction strategy"),
    Column("locked", Integer, comment="Of the unchanged: records whose CRM row takes no updates (emr_updates_locked)"),
    Column("conflicts", Integer, comment="Columns that both sides had changed"),
    Column("pending_push", Integer, comment="Columns that only the CRM changed; the next push sends them"),
    Column("normalized_fields", Integer, comment="Columns that were sent and that eCW stores in its own spelling"),
    Column("deferred", Integer, comment="Of the rejected: records that wait for another record"),
    Column("deferred_loaded", Integer, comment="Of the fetched: rows of ecw_deferred_row that were loaded"),
    Column("stale", Integer, comment="Of the unchanged: records of which the CRM has a newer version"),
    Column("full_scan", Boolean, comment="All records were requested, not only those of the window: see completeness"),
    Column("remaining_patients", Integer, comment="Patients that the initial sync left to the next runs"),
    Column("remaining_due_at", UtcTime, comment="When the last of the remaining patients is due"),
    Column("patients_queried", Integer, comment="Patients who were queried one by one"),
    Column("deleted_at_source", Integer, comment="Of the fetched: records that are deleted in eCW"),
    Column("completeness", Text, comment="The evidence that the fetched records are complete"),
    Column("still_stale", Integer, comment="Of the stale: records that were stale in an earlier run, too"),
    Column(
        "rewritten",
        Text,
        comment="Columns in which the CRM's table holds another value than was written, each with the number of rows",
    ),
    Column(
        "mapped_all",
        Boolean,
        comment="Of a snapshot that the runs of a backfill share: unchanged records are mapped, too",
    ),
    Index("ecw_run_latest", "practice", "resource", "started_at"),
    Index("ecw_run_run_id", "run_id"),
    comment="The run records: one row for each resource of a run of the pull.",
)

ecw_cursor = Table(
    "ecw_cursor",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("position", UtcTime, nullable=False, comment="The time up to which everything is loaded"),
    Column("run_id", String(250), nullable=False, comment="The Airflow run that moved the cursor"),
    Column("moved_at", UtcTime, nullable=False, comment="When the cursor moved"),
    comment="The time up to which the live runs have loaded each resource.",
)

ecw_link = Table(
    "ecw_link",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("ecw_id", String(128), primary_key=True, comment="The record's id in eCW"),
    Column("crm_id", String(64), nullable=False, comment="The row's key in the CRM"),
    Column("hash", String(128), nullable=False, comment="Hash of the FHIR resource's content"),
    Column("mapping_version", String(64), nullable=False, comment="Hash of the mapping file that made the row"),
    Column("source_version", UtcTime, comment="meta.lastUpdated of the FHIR resource"),
    Column(
        "read_at",
        UtcTime,
        comment="When the record was read from eCW; versions are compared only if two reads may have overlapped",
    ),
    Column("stale_run", String(250), comment="The first later run that read an older version, in an overlapping read"),
    Column("inserted_run", String(250), comment="The run that inserted the row, none: the CRM had it before"),
    Column("updated_run", String(250), comment="The run that last changed the row"),
    Column("last_seen_run", String(250), nullable=False, comment="The last run that fetched the record"),
    Column("status", String(16), comment="In eCW: inactive, merged, deceased, deleted; none: in use"),
    Column("status_reason", Text, comment="The reason for the status"),
    Column(
        "identity",
        Text,
        comment="JSON: who both sides were when a match or a person confirmed the link, see ecw.crm.load.identity",
    ),
    # A row of the CRM has one link: two links would write it into two charts.
    Index("ecw_link_crm_id", "crm_id", "resource", "practice", unique=True),
    comment="The links: which row of the CRM belongs to which record of eCW, and the content that it was made from.",
)

ecw_practice = Table(
    "ecw_practice",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("base_url", Text, nullable=False, comment="The FHIR base URL of the practice"),
    Column("since", UtcTime, nullable=False, comment="When this base URL was noted"),
    comment="The base URL of each practice code. The same code on another server is another practice.",
)

ecw_claim = Table(
    "ecw_claim",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column(
        "name",
        String(80),
        primary_key=True,
        comment="A CRM id, or the digest of other work that must not run in parallel",
    ),
    Column(
        "token",
        Integer,
        nullable=False,
        comment="Grows with each claim; a holder of a smaller token has lost the claim",
    ),
    Column("holder", Text, comment="The process that holds the claim, none: it is free"),
    Column("until", UtcTime, nullable=False, comment="When the claim expires"),
    comment="Which process works on a record now; one row for each record that was ever claimed. A later claim has a "
    "higher token, and writes of the earlier holder are refused.",
)

ecw_own_write = Table(
    "ecw_own_write",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("crm_id", String(64), primary_key=True, comment="The row's key in the CRM"),
    Column(
        "stamp",
        Text,
        nullable=False,
        comment="The row's updated_at after the project's last write, as the database has it",
    ),
    Column("edited", Text, comment="The row's updated_at before that write: when the CRM last changed it"),
    comment="The times that the project's own writes left in the CRM's rows, so that they do not count as edits of the "
    "CRM: see ecw.crm.state.edit_times.",
)

ecw_field_change = Table(
    "ecw_field_change",
    metadata,
    Column("table", String(64), primary_key=True, comment="The table of the CRM"),
    Column("crm_id", String(64), primary_key=True, comment="The row's key in the CRM"),
    Column("column", String(128), primary_key=True, comment="The column's name"),
    Column("changed_at", UtcTime, nullable=False, comment="When the column was last changed"),
    comment="When the CRM last changed a field of a row. A trigger writes it, so it has no practice.",
)

ecw_initial_sync = Table(
    "ecw_initial_sync",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column(
        "patient",
        String(128),
        primary_key=True,
        comment="The patient's eCW id; '': the practice's first run about all patients",
    ),
    Column("run_id", String(250), comment="The run that fetched the insurance first, none: it is still due"),
    _partial("ecw_initial_sync_due", "practice", where="run_id IS NULL"),
    comment="Which patients' insurance was fetched for the first time, or is still due: see ecw.crm.load.initial_sync.",
)

ecw_checked = Table(
    "ecw_checked",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("patient", String(128), primary_key=True, comment="The patient's eCW id"),
    Column(
        "checked_at", UtcTime, nullable=False, comment="The end of the window of the last run that queried the patient"
    ),
    Index("ecw_checked_at", "practice", "resource", "checked_at"),
    comment="When each patient's records of a resource were last queried in eCW: see ecw.crm.state.last_checked.",
)

ecw_deferred_row = Table(
    "ecw_deferred_row",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("ecw_id", String(128), primary_key=True, comment="The record's id in eCW"),
    Column("missing_resource", String(64), nullable=False, comment="The resource of the missing record"),
    Column("missing_id", String(128), nullable=False, comment="The eCW id of the missing record"),
    Column("source_version", UtcTime, comment="meta.lastUpdated of the FHIR resource"),
    Column("line", Text, nullable=False, comment="The staged line, JSON"),
    Column("read_at", UtcTime, comment="When the record was read from eCW"),
    Column("deferred_run", String(250), nullable=False, comment="The run that deferred it"),
    Index("ecw_deferred_row_missing", "practice", "missing_resource", "missing_id"),
    comment="Deferred rows: they wait until a record that they refer to is linked, as an encounter for its patient.",
)

ecw_reject = Table(
    "ecw_reject",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("ecw_id", String(128), primary_key=True, comment="The record's id in eCW"),
    Column("step", String(16), primary_key=True, comment="The step that rejected the record: map, check, load, push"),
    Column("rule", String(128), primary_key=True, comment="The rule that the record breaks"),
    Column("column", String(128), primary_key=True, comment="The column; '': the reason is about the whole record"),
    Column("reason", Text, nullable=False, comment="The reason, without values"),
    Column("hash", String(128), comment="Hash of the FHIR resource's content"),
    Column("source_version", UtcTime, comment="meta.lastUpdated of the FHIR resource"),
    Column("batch", Text, comment="The staged file that still holds the record"),
    Column("state", String(16), nullable=False, comment="open, dismissed (by a person), resolved"),
    Column("first_run", String(250), nullable=False, comment="The first run that found it"),
    Column("last_run", String(250), nullable=False, index=True, comment="The last run that found it"),
    Column("resolved_run", String(250), comment="The run after which the reason no longer held"),
    Column("read_at", UtcTime, comment="When the record was read from eCW"),
    # The page of rejects: groups are counted, and one group is paged through, in the index alone.
    Index(
        *("ecw_reject_groups", "practice", "state", "resource", "step", "rule", "column", "first_run", "ecw_id"),
        "last_run",
    ),
    # What the console counts: open records, and open records by rule.
    _partial("ecw_reject_open", "practice", "resource", "ecw_id", "rule", where="state = 'open'"),
    _partial("ecw_reject_open_rule", "practice", "rule", "resource", "column", "ecw_id", where="state = 'open'"),
    comment="The quarantine: rejected records, one row for each reason.",
)

ecw_quota = Table(
    "ecw_quota",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("minute", Integer, primary_key=True, comment="Minutes since 1970"),
    Column(
        "kind", String(16), primary_key=True, comment="on_demand, scheduled, backfill; refused: calls answered with 429"
    ),
    Column("calls", Integer, nullable=False, comment="Number of API calls"),
    comment="API calls counted against the quota, by clock minute of the server and kind of work.",
)

ecw_merge_base = Table(
    "ecw_merge_base",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("ecw_id", String(128), primary_key=True, comment="The record's id in eCW"),
    Column("emr", Text, nullable=False, comment="JSON: eCW's values, by column"),
    Column(
        "crm", Text, comment="JSON: the CRM's values in the columns where they differ from eCW's, none: no difference"
    ),
    Column("sent", Text, comment="JSON: values that were sent to eCW and not yet read back"),
    comment="The merge base of each link: the values on which the CRM and eCW last agreed, see ecw.three_way_merge.",
)

ecw_intent = Table(
    "ecw_intent",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("crm_id", String(64), primary_key=True, comment="The row's key in the CRM"),
    Column("intent", String(64), nullable=False, comment="Digest of the CRM's values"),
    Column("operation", String(16), nullable=False, comment="create, update"),
    Column("state", String(16), nullable=False, comment="sending, unknown, done, refused, void, held"),
    Column("ecw_id", String(128), comment="The record's id in eCW"),
    Column("sent", Text, comment="JSON: the values that were sent; after an unknown outcome eCW is searched for them"),
    Column("attempts", Integer, nullable=False, comment="Number of attempts to send it"),
    Column("decided_at", UtcTime, nullable=False, comment="When the push was decided"),
    Column("settled_at", UtcTime, comment="When the outcome was known"),
    Column("run_id", String(250), nullable=False, comment="The Airflow run"),
    Column("match_rule", String(64), comment="The match rule that holds the patient"),
    Column("candidates", Text, comment="JSON: the eCW ids of the candidates"),
    Column("choice", String(128), comment="A person's answer: one of the candidates, or `new`"),
    Index("ecw_intent_state", "practice", "resource", "state"),
    Index("ecw_intent_decided_at", "practice", "resource", "decided_at"),
    comment="The intents: what a push decided to send, one row for each record of the CRM, written before the request.",
)

ecw_push_item = Table(
    "ecw_push_item",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("run_id", String(250), primary_key=True, comment="The Airflow run"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("crm_id", String(64), primary_key=True, comment="The row's key in the CRM"),
    Column("position", Integer, nullable=False, comment="The patient's place in the order of the push"),
    Column("operation", String(16), nullable=False, comment="The planned operation: create, update"),
    Column("intent", String(64), nullable=False, comment="Digest of the CRM's values when it was planned"),
    Column("dry", Boolean, nullable=False, comment="A dry run: nothing is sent"),
    Column("planned_at", UtcTime, nullable=False, comment="When it was planned"),
    Column("status", String(16), comment="Result, see ecw.crm.db.enums.PushStatus; none: not begun"),
    Column("at", UtcTime, comment="When the result was known"),
    Column("ecw_id", String(128), comment="The record's id in eCW"),
    Column("fields", Text, comment="Names of columns that were sent, separated by commas"),
    Column("reason", Text, comment="The reason, without values"),
    Column("next_step", Text, comment="What to do next"),
    Column("confirmed", String(16), comment="Result of the readback: complete, seen, not shown, not taken"),
    Column("normalized_fields", Text, comment="Names of columns that eCW stores in its own spelling"),
    Column("auto_started", Boolean, comment="The watcher started the run, and it was too small to need an approval"),
    Index("ecw_push_item_crm_id", "practice", "resource", "crm_id"),
    Index("ecw_push_item_planned_at", "practice", "planned_at"),
    comment="The plan of a push, one row for each patient, with the result. A retried run continues from it.",
)

_PAGES = ("at", "run_id", "entry")

ecw_journal = Table(
    "ecw_journal",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("entry", String(36), primary_key=True, comment="The entry's own id"),
    Column("at", UtcTime, nullable=False, comment="When it happened"),
    Column("run_id", String(250), nullable=False, comment="The Airflow run"),
    Column("direction", String(8), nullable=False, comment="push, pull, decision"),
    Column("resource", String(64), nullable=False, comment="The resource, as in resources.py"),
    Column("operation", String(16), nullable=False, comment="create, update, link, settle, ..."),
    Column("crm_id", String(64), comment="The row's key in the CRM"),
    Column("ecw_id", String(128), comment="The record's id in eCW"),
    Column("http_status", Integer, comment="The HTTP status of the answer"),
    Column("code", String(16), comment="eCW's error code"),
    Column("message", Text, nullable=False, comment="What happened"),
    Column("outcome", String(32), nullable=False, comment="The result: done, fix the data, try again later, ..."),
    Column("next_step", Text, comment="What to do next"),
    Column("fields", Text, comment="Names of columns, separated by commas"),
    Column("seconds", Float, comment="Seconds until eCW answered"),
    Column("decided_by", String(250), comment="Of a decision: the user of Airflow or of the terminal"),
    Column("before", Text, comment="Of a decision: the earlier choice, none: there was none"),
    Column("after", Text, comment="Of a decision: the new choice, none: the choice was withdrawn"),
    Column("initial_sync", Boolean, comment="Of a pull: the record belongs to the initial sync, so it is not a change"),
    Column(
        "vob",
        String(64),
        comment="Of a pull: the key of the VOB request that the entry opened; '': none; NULL: not evaluated yet",
    ),
    # For the pages of the Integration Logs, in their order: see ecw.reports.journal. The common values of outcome and
    # direction need no index, and so the partial indexes leave out most entries.
    Index("ecw_journal_at", "practice", *_PAGES),
    Index("ecw_journal_by_resource", "practice", "resource", *_PAGES),
    Index("ecw_journal_by_run_id", "practice", "run_id", "at", "entry"),
    _partial("ecw_journal_by_outcome", "practice", "outcome", *_PAGES, where="outcome <> 'done'"),
    _partial("ecw_journal_by_direction", "practice", "direction", *_PAGES, where="direction <> 'pull'"),
    _partial("ecw_journal_by_code", "practice", "code", *_PAGES, where="code IS NOT NULL"),
    *(Index(f"ecw_journal_by_{name}", "practice", name, "at") for name in ("crm_id", "ecw_id")),
    _partial("ecw_journal_vob", "practice", "resource", "run_id", where="vob IS NULL AND direction = 'pull'"),
    comment="The Integration Logs: a row for every attempt to push, every pulled change and every decision. No values.",
)

ecw_conflict = Table(
    "ecw_conflict",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column("crm_id", String(64), primary_key=True, comment="The row's key in the CRM"),
    Column("column", String(128), primary_key=True, comment="The column's name"),
    Column("ecw_id", String(128), nullable=False, comment="The record's id in eCW"),
    Column("state", String(16), nullable=False, comment="open (waits for a person), settled"),
    Column("winner", String(8), comment="The side that won: crm, emr; none: open"),
    Column("crm_value", Text, comment="JSON: the CRM's value"),
    Column("emr_value", Text, comment="JSON: eCW's value"),
    Column("choice", String(8), comment="A person's answer: crm, emr"),
    Column("first_run", String(250), nullable=False, comment="The first run that found it"),
    Column("last_run", String(250), nullable=False, comment="The last run that found it"),
    Index("ecw_conflict_state", "practice", "resource", "state"),
    comment="The conflicts: columns that both sides changed, one row each, with both values.",
)

ecw_quality_result = Table(
    "ecw_quality_result",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("run_id", String(250), primary_key=True, comment="The Airflow run"),
    Column("resource", String(64), primary_key=True, comment="The resource, as in resources.py"),
    Column(
        "number", Integer, primary_key=True, autoincrement=False, comment="The rule's place in the suite; 0: the volume"
    ),
    Column("at", UtcTime, nullable=False, comment="When the check ended"),
    Column("rule", String(128), nullable=False, comment="The type of the expectation, or volume"),
    Column("column", Text, nullable=False, comment="The columns; '': the whole batch"),
    Column("demand", Text, nullable=False, comment="What the rule demands, in words"),
    Column("on_fail", String(16), nullable=False, comment="warn, reject, stop"),
    Column(
        "max_failed_ratio", Float, comment="The batch stops if more than this share of the rows newly breaks the rule"
    ),
    Column("reason", Text, nullable=False, comment="Why the rule exists"),
    Column(
        "rows",
        Integer,
        nullable=False,
        comment="Records that the run covered, also unchanged ones; of the volume: records that eCW has",
    ),
    Column(
        "broken",
        Integer,
        nullable=False,
        comment="Rows that break the rule; of the volume: how many records fewer than usual",
    ),
    Column("broken_new", Integer, comment="Of the broken: those that no earlier run found; none for the volume"),
    Column("verdict", String(16), nullable=False, comment="pass, warn, reject, stop"),
    Column("usual", Integer, comment="Of the volume: how many records comparable runs usually find"),
    Column("scope", String(16), comment="Of the volume: full (the runs covered everything), partial"),
    Index("ecw_quality_result_at", "practice", "resource", "at"),
    Index("ecw_quality_result_run", "run_id"),
    _partial("ecw_quality_runs", "practice", "run_id", "at", "number", where="number = 0"),  # the list of runs
    comment="The quality reports: the result of each rule of a suite for a batch; number 0 is its volume. No values.",
)

ecw_alert = Table(
    "ecw_alert",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("alert", String(36), primary_key=True, comment="The alert's own id"),
    Column("kind", String(16), nullable=False, comment="stale, equation, volume, stopped, rejects"),
    Column("subject", String(64), nullable=False, comment="What the alert is about, mostly a resource"),
    Column("message", Text, nullable=False, comment="What is wrong"),
    Column("next_step", Text, nullable=False, comment="What to do next"),
    Column("opened_at", UtcTime, nullable=False, comment="When the condition began"),
    Column("resolved_at", UtcTime, comment="When the condition ended, none: open"),
    Column("run_id", String(250), comment="The run in which the condition was found"),
    # One open alert for each kind and subject, also if two runs open it at the same time.
    _partial("ecw_alert_open", "practice", "kind", "subject", where="resolved_at IS NULL", unique=True),
    comment="The alerts: one row each time that a condition begins. At most one is open for each kind and subject.",
)

ecw_alert_notification = Table(
    "ecw_alert_notification",
    metadata,
    Column("practice", String(64), primary_key=True, comment="The practice: one eCW tenant"),
    Column("alert", String(36), primary_key=True, comment="The alert's own id"),
    Column("event", String(8), primary_key=True, comment="begin, over"),
    Column("target", String(250), primary_key=True, comment="The receiver: webhook CONNECTION or email ADDRESS"),
    Column("made_at", UtcTime, nullable=False, comment="When the notification was written"),
    Column("claimed_at", UtcTime, comment="When a process began to send it; an old claim is void"),
    Column("sent_at", UtcTime, comment="When it was sent, none: not yet"),
    comment="The notifications of alerts, sent or still to send: one row for each alert, event and target.",
)
