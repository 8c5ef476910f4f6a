"""Find the contacts that many rows of the CRM share."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, insert

from ecw.crm.db.business_table import BusinessTable, Mapped, find
from ecw.crm.load.shared_contacts import MANY, shared_contacts
from tests.fixtures.examples import examples

CONTACTS = ("phone", "email")
HOUSES = st.lists(
    st.fixed_dictionaries({"phone": st.sampled_from([None, "1", "2"]), "email": st.sampled_from([None, "a", "b"])}),
    min_size=1,
    max_size=12,
)


def patients(engine: Engine) -> BusinessTable:
    with engine.connect() as connection:
        return find(connection, Mapped("patient", "ecw_id", ("ecw_id", *CONTACTS), "1"))


@settings(max_examples=examples(20), derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=HOUSES)
def test_a_contact_is_shared_where_five_rows_have_it(crm_engine: Engine, rows: list[dict[str, Any]]) -> None:
    target = patients(crm_engine)
    with crm_engine.connect() as connection, connection.begin() as transaction:
        keys = [connection.execute(insert(target.table).values(row)).inserted_primary_key[0] for row in rows]
        for key, row in zip(keys, rows, strict=True):
            expected = {
                name for name in CONTACTS if row[name] is not None and sum(r[name] == row[name] for r in rows) >= MANY
            }
            assert shared_contacts(connection, target, key, (*CONTACTS, "no_column")) == expected
        transaction.rollback()
