"""The members of a role, and what keeps it in use."""

import re

import pytest

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import service_accounts
from accounts.members import members
from accounts.models import (
    Role,
)
from lib.ids import id_text
from lib.refusal import Refused
from tests.support.cast import Cast, member, signed_in
from tests.support.lists import file_of

pytestmark = pytest.mark.django_db


def test_role_counts_and_lists_its_own_members(people: Cast) -> None:
    auditor = custom_roles.create_role(people.acme, "Auditor", ["audit.read"], actor=SYSTEM)
    other = custom_roles.create_role(people.acme, "Other", ["usage.read"], actor=SYSTEM)
    for name, role in (("eve", auditor), ("frank", auditor), ("grace", other)):
        user = member(people.acme, name, Role.VIEWER)
        members.set_member(people.acme, user.email, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    alice = signed_in(people.alice)
    rows = file_of(alice, "/o/acme/team/roles?export=csv")
    counts = {row["name"]: (row["members"], row["can"]) for row in rows}
    assert counts["Auditor"] == ("2", "1")
    assert (counts["Other"][0], counts["Owner"][0], counts["Viewer"][0]) == ("1", "1", "0")
    page = alice.get(f"/o/acme/team/roles/{id_text(auditor.id)}").content.decode()
    assert re.findall(r">(Eve|Frank|Grace|Bob)</a>", page) == ["Eve", "Frank"]


def test_role_that_is_in_use_stays(people: Cast) -> None:
    role = custom_roles.create_role(people.acme, "Auditor", ["audit.read"], actor=SYSTEM)
    account = service_accounts.create_service_account(
        people.core, "bot", Role.CUSTOM, custom_role=role, actor=SYSTEM
    )
    with pytest.raises(Refused, match="still have this role"):
        custom_roles.remove_role(role, actor=SYSTEM)
    service_accounts.change_service_account(account, role=Role.VIEWER, disabled=False, actor=SYSTEM)
    custom_roles.remove_role(role, actor=SYSTEM)
    assert not people.acme.custom_roles.exists()
