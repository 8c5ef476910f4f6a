from sqlalchemy import inspect

from ecw.crm.engine import engine_from_url
from ecw.crm.migrations import migrate
from ecw.crm.tables import metadata


def test_the_migrations_make_what_the_queries_expect(empty_crm_url: str) -> None:
    engine = engine_from_url(empty_crm_url)
    assert migrate(engine), "the first migration says what it did"
    found = inspect(engine)
    for table in metadata.tables.values():
        columns = {column["name"]: column for column in found.get_columns(table.name)}
        assert set(columns) == set(table.columns.keys())
        for column in table.columns:
            assert columns[column.name]["nullable"] == column.nullable, f"{table.name}.{column.name}"
        assert found.get_pk_constraint(table.name)["constrained_columns"] == [c.name for c in table.primary_key]
    engine.dispose()


def test_migrating_twice_does_nothing_more(empty_crm_url: str) -> None:
    engine = engine_from_url(empty_crm_url)
    migrate(engine)
    assert migrate(engine) == []
    engine.dispose()
