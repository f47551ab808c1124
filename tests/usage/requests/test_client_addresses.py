"""Addresses of clients are kept no longer than their organisation says."""

import datetime as dt

import pytest
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.models import Key
from accounts.organisations import organisations
from billing.ledger import ledger
from lib import clock
from lib.id_types import AttemptId, OrganisationId
from lib.ids import id_text, new_id
from tests.support import cast
from tests.usage.rows import happen, id_at
from usage.models import ClientAddress
from usage.records.sql import AddressNoted, note_addresses
from usage.requests.client_addresses import drop_old

pytestmark = pytest.mark.django_db


def noted(people: cast.Cast, days_ago: float) -> ClientAddress:
    row = ClientAddress.objects.create(
        organisation=people.acme, record_id=new_id(), address="192.0.2.9"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE usage_clientaddress SET noted_at = now() - %s * interval '1 day'"
            " WHERE record_id = %s",
            [days_ago, row.record_id],
        )
    return row


def test_addresses_expire(people: cast.Cast) -> None:
    organisations.set_client_address_days(people.acme, 7, actor=SYSTEM)
    young, _ = noted(people, 6.9), noted(people, 7.1)
    assert (drop_old(), drop_old()) == (1, 0)
    assert ClientAddress.objects.get().record_id == young.record_id
    organisations.set_client_address_days(people.acme, 0, actor=SYSTEM)
    assert drop_old() == 1


def test_late_address_expires_with_its_request(people: cast.Cast) -> None:
    """A process that the database was away for writes it days later."""
    organisations.set_client_address_days(people.acme, 7, actor=SYSTEM)
    days = [clock.now() - dt.timedelta(days=days) for days in (8, 6)]
    late = [
        AddressNoted(
            organisation_id=OrganisationId(people.acme.id),
            record_id=AttemptId(id_at(at)),
            address="192.0.2.9",
        )
        for at in days
    ]
    ledger.execute(note_addresses(late))
    assert drop_old() == 1
    assert ClientAddress.objects.get().record_id == late[1].record_id


def test_request_shows_its_address_until_then(people: cast.Cast, key: Key) -> None:
    record = happen(key)
    ClientAddress.objects.create(
        organisation_id=record.organisation_id, record_id=record.id, address="2001:db8::7"
    )
    page, path = cast.signed_in(people.alice), f"/o/acme/requests/{id_text(record.request_id)}"
    assert "2001:db8::7" not in page.get(path).content.decode()
    organisations.set_client_address_days(people.acme, 1, actor=SYSTEM)
    assert "2001:db8::7" in page.get(path).content.decode()
