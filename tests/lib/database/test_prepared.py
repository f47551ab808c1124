"""A statement that is planned once per connection."""

from uuid import UUID

import pytest
from django.db import connection

from lib.database.prepared import first_row
from lib.database.tenancy import use_tenant


@pytest.mark.django_db
def test_first_row_is_read_by_a_plan_that_is_kept() -> None:
    statement = "SELECT n, current_user FROM generate_series(7, 9) n"
    before = first_row(statement)
    with use_tenant(UUID(int=1)):
        within = first_row(statement)
    assert (before[0], within) == (7, (7, "weir_tenant"))
    assert before[1] != "weir_tenant"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement = %s", [statement]
        )
        assert cursor.fetchone() == (1,)
