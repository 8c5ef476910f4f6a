"""The bookkeeping tables, as queries see them; the migrations make them.  Every key begins with the practice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, DateTime, Dialect, Float, Integer, MetaData, String, Table, Text, TypeDecorator


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
    Column("inserted_run", String(250)),  # none for a row that the CRM had before
    Column("updated_run", String(250)),
    Column("seen_run", String(250), nullable=False),
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
    Column("last_run", String(250), nullable=False),
    Column("resolved_run", String(250)),
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
