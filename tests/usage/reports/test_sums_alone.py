"""Who may see sums and no request (`usage.read` without `requests.read`): the pages show the sums,
and lead to no page that would refuse."""

import re
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import Key, Role
from lib import clock
from lib.ids import id_text
from tests.support import cast
from tests.usage.rows import happen, refuse

pytestmark = pytest.mark.django_db

PERMISSIONS = ["usage.read", "keys.read", "models.read", "playground.use", "keys.write_own"]
PANELS = ("summary", "spend", "models", "keys", "attention")


@pytest.fixture
def max(people: cast.Cast) -> Client:
    role = custom_roles.create_role(people.acme, "Sums", PERMISSIONS, actor=SYSTEM)
    user = cast.person("max")
    members.set_member(people.acme, user.email, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    cast.make_key(people.core, "own", user=user)
    return cast.signed_in(user)


def pages(key: Key) -> list[str]:
    panels = [f"_f/home/{name}" for name in PANELS]
    return ["", "start", "usage", f"keys/{id_text(key.id)}", *panels]


@pytest.mark.parametrize("used", [True, False])
def test_pages_show_the_sums_without_the_rows(
    max: Client, key: Key, sum_up: Callable[[], None], used: bool
) -> None:
    if used:
        happen(key, clock.now(), 7 * 10**9)
        refuse(key, clock.now())
        sum_up()
    for path in pages(key):
        answer = max.get(f"/o/acme/{path}")
        assert answer.status_code == 200, path
        text = answer.content.decode()
        assert not re.search(r'href="/o/acme/requests', text), path
        if used and path in ("usage", f"keys/{id_text(key.id)}"):
            assert "$7.00" in text
