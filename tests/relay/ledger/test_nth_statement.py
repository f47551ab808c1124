"""The n-th statement fails, for every n: the books are as before, or as after (I5, I6, I10)."""

from itertools import count
from typing import Any

import msgspec
import pytest
from django.db import OperationalError, transaction

from lib.ids import new_id
from relay.errors import DatabaseRefused
from relay.ledger.writer import LedgerWriter
from tests.relay.ledger.test_ledger_writer import asked, ended
from tests.support.failing import CANCELLED, MET, FailingConnection, nth_statement_fails
from tests.support.hub import Hub, Tenant


def state(hub: Hub, tenant: Tenant) -> list[Any]:
    """Everything of the tenant that a settlement may touch."""
    mine = tenant.organisation_id
    return [
        hub.balance(tenant),
        hub.rows("SELECT id, state FROM billing_hold WHERE organisation_id = %s ORDER BY 1", mine),
        hub.rows("SELECT idempotency_id FROM billing_posting WHERE organisation_id = %s "
                 "ORDER BY 1", mine),
        hub.rows("SELECT id, charge_nano FROM usage_usagerecord WHERE organisation_id = %s", mine),
        hub.rows("SELECT id FROM usage_attempt WHERE organisation_id = %s", mine),
    ]  # fmt: skip


@pytest.mark.usefixtures("form")
async def test_every_statement_of_a_settlement(hub: Hub) -> None:
    connection = FailingConnection(hub.dsn, 2.0, new_id())
    await connection.open()
    ledger = LedgerWriter(connection)
    for n in count(1):
        tenant = hub.tenant("0.000000500")
        attempt = asked(tenant)
        assert (await ledger.admit(attempt)).word == "admitted"
        await ledger.join()
        before = state(hub, tenant)
        seen: list[Any] = []
        connection.fail_at(n, lambda tenant=tenant, seen=seen: seen.append(state(hub, tenant)))  # type: ignore[misc]
        ledger.settle(msgspec.structs.replace(ended(attempt), loss_nano=7))
        await ledger.join()
        assert seen == [before] * connection.struck
        balance = hub.balance(tenant)
        assert (balance["customer:held"], balance["revenue"]) == (0, 10)
        assert (balance["platform:loss"], balance["provider:cost"]) == (-7, -10)
        assert balance["provider:payable"] == 17
        assert len(state(hub, tenant)[3]) == 1
        if not connection.struck:
            break
    assert n > 4
    hub.assert_books_balance()
    await connection.close()


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("sqlstate", [MET, CANCELLED])
async def test_every_statement_of_an_admission(hub: Hub, sqlstate: str) -> None:
    """Nobody is admitted by half: refused, and nothing held; or a hold with its attempt. Where two
    transactions met, the second try admits."""
    connection = FailingConnection(hub.dsn, 2.0, new_id())
    await connection.open()
    ledger = LedgerWriter(connection)
    for n in count(1):
        tenant = hub.tenant("0.000000500")
        before = state(hub, tenant)
        seen: list[Any] = []
        look = lambda tenant=tenant, seen=seen: seen.append(state(hub, tenant))  # noqa: E731
        connection.fail_at(n, look, sqlstate)
        if n > 20:
            break
        try:
            assert (await ledger.admit(asked(tenant))).word == "admitted"
        except DatabaseRefused:
            assert connection.struck
            assert sqlstate == CANCELLED
            await ledger.join()
            assert state(hub, tenant)[1:] == before[1:]
        else:
            assert not connection.struck or sqlstate == MET
            holds, attempts = state(hub, tenant)[1], state(hub, tenant)[4]
            assert len(holds) == len(attempts) == 1
        assert seen == [before] * connection.struck
        if not connection.struck:
            break
    assert 2 < n < 20
    await ledger.join()
    await connection.close()


@pytest.mark.django_db(transaction=True)
def test_the_tool_strikes_in_django_too() -> None:
    from accounts.models import Organisation

    for n in count(1):
        name = f"o{n}"
        with nth_statement_fails(n) as failing:
            try:
                with transaction.atomic():
                    Organisation.objects.create(name=name, slug=name)
                    Organisation.objects.filter(slug=name).update(name="other")
            except OperationalError:
                assert not Organisation.objects.filter(slug=name).exists()
        if not failing.struck:
            assert Organisation.objects.filter(name="other").count() == 1
            break
    assert n > 2
