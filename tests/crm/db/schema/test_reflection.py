"""A table that has not changed is one object for its engine, so that the SQL about it is compiled once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.engine.interfaces import CacheStats
from sqlalchemy.schema import CreateTable

from ecw.crm.db.engine import engine_from_url, reading
from ecw.crm.db.schema.reflection import reflect

TABLE = "CREATE TABLE mine (id INTEGER PRIMARY KEY, ecw_id VARCHAR(64), active BOOLEAN, seen TIMESTAMP, rank INTEGER)"


@pytest.fixture
def engine(empty_crm_url: str) -> Iterator[Engine]:
    found = engine_from_url(empty_crm_url)
    with found.begin() as connection:
        connection.execute(text(TABLE))
    yield found
    found.dispose()


def test_statements_about_a_table_that_is_reflected_again_are_compiled_once(engine: Engine) -> None:
    found = []
    for _ in range(2):
        with reading(engine) as connection:
            statement = select(reflect(connection, "mine").c.rank).limit(3)
            found.append(connection.execute(statement).context.cache_hit)
        engine.dispose()
    assert found == [CacheStats.CACHE_MISS, CacheStats.CACHE_HIT]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE mine ADD COLUMN note TEXT",
        "ALTER TABLE mine RENAME COLUMN rank TO place",
        "DROP TABLE mine; CREATE TABLE mine (id INTEGER PRIMARY KEY, ecw_id VARCHAR(32), active BOOLEAN, rank INTEGER)",
        f"DROP TABLE mine; {TABLE.replace('rank INTEGER', 'rank INTEGER NOT NULL')}",
        f"DROP TABLE mine; {TABLE.replace('rank INTEGER', 'rank INTEGER DEFAULT 7')}",
        f"DROP TABLE mine; {TABLE.replace('rank INTEGER', 'rank NUMERIC(8, 2)')}",
        "DROP TABLE mine; CREATE TABLE mine (id INTEGER, ecw_id VARCHAR(64), active BOOLEAN, rank INTEGER PRIMARY KEY)",
    ],
)
def test_a_table_that_has_changed_is_seen_as_it_is(engine: Engine, change: str) -> None:
    with reading(engine) as connection:
        before = reflect(connection, "mine")
    with engine.begin() as connection:
        for statement in change.split("; "):
            connection.execute(text(statement))
    with reading(engine) as connection:
        after = reflect(connection, "mine")
        assert after is not before
        assert after is reflect(connection, "mine")
    with reading(other := engine_from_url(engine.url)) as connection:
        anew = reflect(connection, "mine")
    other.dispose()
    one, other_one = (str(CreateTable(table).compile(dialect=engine.dialect)) for table in (after, anew))
    assert one == other_one
