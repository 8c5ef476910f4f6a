"""A row that the CRM refuses becomes a reject with the reason; the other rows are loaded, and the counts add up."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, MetaData, Table, delete, text

from ecw.crm.db import in_parts
from ecw.crm.db.engine import engine_from_url, reading
from ecw.crm.db.migrations import migrate
from ecw.errors import CrmSchemaError
from ecw.models import Counts
from tests.fixtures.crm import on_postgresql, psql
from tests.fixtures.examples import examples
from tests.fixtures.loads import a_reject, a_row, a_run, load, locations


def make(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))


def rejects(engine: Engine, state: str = "open") -> dict[str, tuple[str, str]]:
    """Return rule and reason of the rejects of the load, by eCW id."""
    with reading(engine) as connection:
        statement = text("SELECT ecw_id, rule, reason FROM ecw_reject WHERE step = 'load' AND state = :state")
        return {ecw_id: (rule, reason) for ecw_id, rule, reason in connection.execute(statement, {"state": state})}


def linked_ids(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(connection.scalars(text("SELECT ecw_id FROM ecw_link")))


def trigger(body: str, when: str = "BEFORE INSERT OR UPDATE", name: str = "guard") -> tuple[str, str]:
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$",
        f"CREATE TRIGGER {name} {when} ON location FOR EACH ROW EXECUTE FUNCTION {name}()",
    )


REFUSALS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "a check": (("ALTER TABLE location ADD CONSTRAINT no_bad CHECK (name <> 'bad')",), "CRM: check", "no_bad"),
    "a unique constraint": (
        ("ALTER TABLE location ADD CONSTRAINT one_name UNIQUE (name)", "INSERT INTO location (name) VALUES ('bad')"),
        "CRM: unique",
        "one_name",
    ),
    "a partial unique index": (
        (
            "CREATE UNIQUE INDEX one_active ON location (name) WHERE active",
            "INSERT INTO location (name, active) VALUES ('bad', true)",
        ),
        "CRM: unique",
        "one_active",
    ),
    "a unique constraint that is checked at the commit": (
        (
            "ALTER TABLE location ADD CONSTRAINT one_name UNIQUE (name) DEFERRABLE INITIALLY DEFERRED",
            "INSERT INTO location (name) VALUES ('bad')",
        ),
        "CRM: unique",
        "one_name",
    ),
    "a foreign key": (
        (
            "CREATE TABLE site (name text PRIMARY KEY)",
            "INSERT INTO site VALUES ('A'), ('B'), ('C')",
            "ALTER TABLE location ADD CONSTRAINT of_site FOREIGN KEY (name) REFERENCES site",
        ),
        "CRM: foreign key",
        "of_site",
    ),
    "a foreign key that is checked at the commit": (
        (
            "CREATE TABLE site (name text PRIMARY KEY)",
            "INSERT INTO site VALUES ('A'), ('B'), ('C')",
            "ALTER TABLE location ADD CONSTRAINT of_site FOREIGN KEY (name) REFERENCES site "
            "DEFERRABLE INITIALLY DEFERRED",
        ),
        "CRM: foreign key",
        "of_site",
    ),
    "a trigger that raises": (
        trigger("IF NEW.name = 'bad' THEN RAISE EXCEPTION 'the name % is bad', NEW.name; END IF;"),
        "CRM: trigger",
        "guard",
    ),
    "a trigger that raises with a code of its own": (
        trigger("IF NEW.name = 'bad' THEN RAISE EXCEPTION 'bad' USING ERRCODE = 'ZX001'; END IF;"),
        "CRM: trigger",
        "ZX001",
    ),
    "a trigger that raises at the commit": (
        (
            trigger("IF NEW.name = 'bad' THEN RAISE EXCEPTION 'bad'; END IF;")[0],
            "CREATE CONSTRAINT TRIGGER guard AFTER INSERT OR UPDATE ON location DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION guard()",
        ),
        "CRM: trigger",
        "guard",
    ),
    "a trigger that makes a value too long": (
        (
            "DROP VIEW location_options",
            "ALTER TABLE location ALTER name TYPE varchar(20)",
            *trigger("NEW.name := repeat(NEW.name, 1 + 9 * (NEW.name = 'bad')::int);"),
        ),
        "CRM: value",
        "22001",
    ),
    "a trigger that empties a NOT NULL column": (
        ("ALTER TABLE location ALTER name SET NOT NULL", *trigger("NEW.name := nullif(NEW.name, 'bad');")),
        "CRM: not null",
        "23502",
    ),
    "a trigger that divides by zero": (
        trigger("NEW.latitude := 1 / (NEW.name <> 'bad')::int;"),
        "CRM: value",
        "22012",
    ),
    "a trigger that drops the row": (
        trigger("IF NEW.name = 'bad' THEN RETURN NULL; END IF;"),
        "CRM: not kept",
        "did not keep",
    ),
    "a rule that drops the row": (
        ("CREATE RULE lost AS ON INSERT TO location WHERE NEW.name = 'bad' DO INSTEAD NOTHING",),
        "CRM: not kept",
        "did not keep",
    ),
    "a trigger that changes the eCW id": (
        trigger("IF NEW.name = 'bad' THEN NEW.ecw_id := upper(NEW.ecw_id); END IF;"),
        "CRM: id changed",
        "eCW id",
    ),
    "an exclusion constraint": (
        (
            "ALTER TABLE location ADD COLUMN span int4range GENERATED ALWAYS AS "
            "(CASE name WHEN 'bad' THEN int4range(1, 9) END) STORED",
            "ALTER TABLE location ADD CONSTRAINT apart EXCLUDE USING gist (span WITH &&)",
            "INSERT INTO location (name) VALUES ('bad')",
        ),
        "CRM: exclusion",
        "apart",
    ),
}


@on_postgresql
@pytest.mark.parametrize("kind", REFUSALS)
def test_a_row_that_the_crm_refuses_is_a_reject_until_it_is_corrected(crm_engine: Engine, kind: str) -> None:
    """Test inserts and updates; the same record, corrected in eCW, is loaded."""
    statements, rule, reason = REFUSALS[kind]
    make(crm_engine, *statements)
    ids = {"a", "b", "c"}
    rows = [a_row("a", "A", active=None), a_row("b", "bad"), a_row("c", "C", active=None)]
    assert load(crm_engine, rows) == Counts(fetched=3, rejected=1, inserted=2)
    assert linked_ids(crm_engine) == ids - {"b"}
    (refused,) = rejects(crm_engine).items()
    assert refused[0] == "b"
    assert refused[1][0] == rule
    assert reason in refused[1][1]
    assert "bad" not in refused[1][1].replace("no_bad", "")
    if "drops" not in kind and "changes the eCW id" not in kind:  # a dropped update leaves the row, and no reject
        later = [a_row("a", "bad", 11), a_row("c", "C", active=None)]
        assert load(crm_engine, later, run=a_run("r2")) == Counts(fetched=2, rejected=1, unchanged=1)
        assert set(rejects(crm_engine)) == {"a", "b"}
        assert load(crm_engine, [a_row("a", "A", 12, active=None)], run=a_run("r3")).fetched == 1
    assert load(crm_engine, [a_row("b", "B", 12, active=None)], run=a_run("r4")) == Counts(fetched=1, inserted=1)
    assert rejects(crm_engine) == {}
    assert linked_ids(crm_engine) == ids


def test_a_row_that_a_trigger_refuses_is_a_reject_on_both_databases(crm_engine: Engine) -> None:
    if crm_engine.dialect.name == "postgresql":
        make(crm_engine, *REFUSALS["a trigger that raises"][0])
    else:
        for event in ("INSERT", "UPDATE"):
            make(
                crm_engine,
                f"CREATE TRIGGER guard_{event} BEFORE {event} ON location WHEN NEW.name = 'bad' BEGIN "
                "SELECT RAISE(ABORT, 'the name is bad'); END",
            )
    rows = [a_row("a"), a_row("b", "bad"), a_row("c")]
    assert load(crm_engine, rows, [a_reject("d")]) == Counts(fetched=4, rejected=2, inserted=2)
    assert rejects(crm_engine)["b"][0] == "CRM: trigger"
    assert load(crm_engine, [a_row("a", "bad", 11)], run=a_run("r2")) == Counts(fetched=1, rejected=1)
    assert locations(crm_engine) == {"a": "Main Street", "c": "Main Street"}


@on_postgresql
def test_the_link_has_the_key_that_a_trigger_set(crm_engine: Engine) -> None:
    make(crm_engine, "CREATE SEQUENCE own START 1000", *trigger("NEW.id := nextval('own');", "BEFORE INSERT"))
    assert load(crm_engine, [a_row("a"), a_row("b")]) == Counts(fetched=2, inserted=2)
    assert load(crm_engine, [a_row("a", "New", 11), a_row("b")], run=a_run("r2")) == Counts(
        fetched=2, updated=1, unchanged=1
    )
    with reading(crm_engine) as connection:
        assert set(connection.scalars(text("SELECT id FROM location"))) == {1000, 1001}


@on_postgresql
def test_a_row_without_a_partition_is_a_reject(crm_engine: Engine) -> None:
    make(
        crm_engine,
        "CREATE TABLE spot (id uuid PRIMARY KEY, ecw_id text, name text, active boolean, latitude float) "
        "PARTITION BY HASH (id)",
        "CREATE TABLE spot_0 PARTITION OF spot FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
    )
    from dataclasses import replace

    from tests.fixtures.loads import LOCATION

    rows = [a_row(str(number)) for number in range(20)]
    found = load(crm_engine, rows, mapped=replace(LOCATION, table="spot"))
    assert found.fetched == found.inserted + found.rejected == 20
    assert found.inserted > 0
    assert found.rejected == len(rejects(crm_engine)) > 0


def test_a_row_with_a_character_that_the_database_cannot_encode_is_a_reject(postgresql_server: str) -> None:
    psql(postgresql_server, "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    engine = engine_from_url(postgresql_server.format("latin"))
    try:
        migrate(engine)
        rows = [a_row("a", "Zürich"), a_row("b", "Łódź"), a_row("c")]
        assert load(engine, rows) == Counts(fetched=3, rejected=1, inserted=2)
        assert rejects(engine)["b"][0] == "CRM: value"
        assert locations(engine) == {"a": "Zürich", "c": "Main Street"}
    finally:
        engine.dispose()
        psql(postgresql_server, "DROP DATABASE latin WITH (FORCE)")


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(bad=st.lists(st.booleans(), max_size=40), doubled=st.booleans())
def test_exactly_the_refused_rows_of_any_batch_are_rejects(crm_engine: Engine, bad: list[bool], doubled: bool) -> None:
    """The other rows are loaded, and a second load of the batch changes nothing."""
    with crm_engine.begin() as connection:
        for table in ("location", "ecw_link", "ecw_reject", "ecw_run", "ecw_merge_base"):
            connection.execute(delete(Table(table, MetaData())))
        connection.execute(text("CREATE UNIQUE INDEX IF NOT EXISTS one_name ON location (name)"))
    rows = [a_row(str(at), "same" if each else f"name {at}") for at, each in enumerate(bad)]
    accepted = {row["ecw_id"] for row in rows if row["row"]["name"] != "same"}
    accepted |= set(
        [row["ecw_id"] for row in rows if row["row"]["name"] == "same"][:1]
    )  # the first of the rows with the same name
    expected = Counts(fetched=len(rows), rejected=len(rows) - len(accepted), inserted=len(accepted))
    assert load(crm_engine, rows) == expected
    assert set(locations(crm_engine)) == linked_ids(crm_engine) == accepted
    assert set(rejects(crm_engine)) == {row["ecw_id"] for row in rows} - accepted
    if doubled:
        assert load(crm_engine, rows) == expected


@on_postgresql
def test_a_batch_with_too_many_refused_rows_fails_with_the_reason(
    crm_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_parts, "MOST", 3)
    make(crm_engine, *REFUSALS["a check"][0])
    with pytest.raises(CrmSchemaError, match=r"refuses more than 3 rows.*no_bad"):
        load(crm_engine, [a_row(str(number), "bad") for number in range(9)])
    assert linked_ids(crm_engine) == set()
