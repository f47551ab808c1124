"""What names a role and what changes a role wait for each other, in one order."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.access.actors import SYSTEM
from accounts.audit.epoch import bump_epoch
from accounts.custom_roles import custom_roles
from accounts.keys import service_accounts
from accounts.models import CustomRole, Role, SingleSignOn
from accounts.single_sign_on import single_sign_on
from lib.refusal import Refused
from tests.support.cast import Cast, assemble
from tests.support.waiting_locks import await_waiting

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def people(transactional_db: None) -> Cast:
    return assemble()


@pytest.fixture
def role(people: Cast) -> CustomRole:
    return custom_roles.create_role(people.acme, "reader", ["usage.read"], actor=SYSTEM)


def save(people: Cast, role_name: str) -> SingleSignOn:
    return single_sign_on.save_single_sign_on(
        SYSTEM, people.acme, secret="s", issuer="https://login.example.org", client_id="weir",
        domains=[], group_claim="groups", group_rules=[], default_role=role_name, required=False,
    )  # fmt: skip


def beside(do: Callable[[], Any], failed: list[BaseException]) -> threading.Thread:
    """A thread that does it with a connection of its own."""

    def run() -> None:
        try:
            do()
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    return threading.Thread(target=run)


def rename(role: CustomRole) -> None:
    custom_roles.change_role(role, name="observer", permissions=["usage.read"], actor=SYSTEM)


def remove(role: CustomRole) -> None:
    custom_roles.remove_role(role, actor=SYSTEM)


@pytest.mark.parametrize("change", [rename, remove])
def test_a_changing_role_waits_for_a_sign_in_and_not_the_reverse(
    people: Cast, role: CustomRole, change: Callable[[CustomRole], None]
) -> None:
    """They cannot deadlock: what waits for a sign-in holds nothing that the sign-in needs."""
    row = save(people, "viewer")
    failed: list[BaseException] = []
    thread = beside(lambda: change(role), failed)
    try:
        with transaction.atomic():
            SingleSignOn.objects.select_for_update().get(pk=row.pk)
            thread.start()
            await_waiting()
            # These raise OperationalError if the thread has locked the row.
            CustomRole.objects.select_for_update(nowait=True).get(pk=role.pk)
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '1s'")
            bump_epoch()
    finally:
        thread.join()
    assert failed == []
    assert not CustomRole.objects.filter(name="reader").exists()


@pytest.mark.parametrize("exists", [True, False])
def test_saved_settings_name_no_role_that_was_renamed_meanwhile(
    people: Cast, role: CustomRole, exists: bool
) -> None:
    if exists:
        save(people, "reader")
    failed: list[BaseException] = []
    thread = beside(lambda: save(people, "reader"), failed)
    try:
        with transaction.atomic():
            rename(role)
            thread.start()
            await_waiting()
    finally:
        thread.join()
    (refused,) = failed
    assert isinstance(refused, Refused)
    assert str(refused) == "There is no such role."
    assert [row.default_role for row in SingleSignOn.objects.all()] == ["observer"] * exists


def test_a_changing_role_and_the_one_who_gets_it_do_not_wait_for_each_other(
    people: Cast, role: CustomRole
) -> None:
    """A reference to a row, checked at the commit, is possible while the row changes."""
    robot = service_accounts.create_service_account(people.core, "robot", actor=SYSTEM)
    failed: list[BaseException] = []
    thread = beside(lambda: rename(role), failed)
    try:
        with transaction.atomic():
            service_accounts.change_service_account(
                robot, role=Role.CUSTOM, custom_role=role, disabled=False, actor=SYSTEM
            )
            thread.start()
            await_waiting()
    finally:
        thread.join()
    assert failed == []
    robot.refresh_from_db()
    assert robot.custom_role is not None
    assert robot.custom_role.name == "observer"
