import pytest

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import service_accounts
from accounts.members import access, invitations, members
from accounts.members.invitations import Offer
from accounts.models import CustomRole, Invitation, Role
from accounts.roles.rules import PERMISSIONS
from lib import clock
from lib.refusal import Refused
from tests.support.cast import Cast, actor, member


def test_role_of_every_permission_lacks_the_owners_own(people: Cast) -> None:
    role = custom_roles.create_role(people.acme, "all", PERMISSIONS, actor=SYSTEM)
    assert tuple(role.permissions) == PERMISSIONS
    outside = ("channels", "organisations", "sign_in")
    assert not [name for name in PERMISSIONS if name.startswith(outside)]


@pytest.mark.parametrize(
    ("name", "permissions", "field"),
    [
        ("", ["usage.read"], "name"),
        ("Owner", ["usage.read"], "name"),
        ("x" * 61, ["usage.read"], "name"),
        ("AUDITOR", ["usage.read"], "name"),
        ("reader", ["channels.write"], "permissions"),
        ("reader", ["usage.read:all"], "permissions"),
    ],
)
def test_invalid_roles(people: Cast, name: str, permissions: list[str], field: str) -> None:
    custom_roles.create_role(people.acme, "auditor", ["audit.read"], actor=SYSTEM)
    with pytest.raises(Refused) as refusal:
        custom_roles.create_role(people.acme, name, permissions, actor=SYSTEM)
    assert refusal.value.field == field
    assert CustomRole.objects.count() == 1


def test_an_admin_makes_no_role_beyond_its_own(people: Cast) -> None:
    """P23: neither a new one, nor of one that it may change; nor does it weaken a stronger one."""
    ann = actor(member(people.acme, "ann", Role.ADMIN), people.acme)
    with pytest.raises(Refused, match=r"You cannot grant wallet\.write"):
        custom_roles.create_role(people.acme, "payer", ["wallet.write"], actor=ann)
    reader = custom_roles.create_role(people.acme, "reader", ["usage.read"], actor=ann)
    with pytest.raises(Refused, match=r"You cannot grant wallet\.write"):
        custom_roles.change_role(reader, name="r", permissions=["wallet.write"], actor=ann)
    payer = custom_roles.create_role(people.acme, "payer", ["wallet.write"], actor=SYSTEM)
    with pytest.raises(Refused, match="as much as yours"):
        custom_roles.change_role(payer, name="payer", permissions=[], actor=ann)


def test_unused_role_can_be_deleted(people: Cast) -> None:
    role = custom_roles.create_role(people.acme, "reader", ["usage.read"], actor=SYSTEM)
    members.set_member(
        people.acme, people.bob.email, Role.CUSTOM, custom_role=role, actor=SYSTEM
    )  # fmt: skip
    assert_stays(role)
    members.set_member(people.acme, people.bob.email, Role.VIEWER, actor=SYSTEM)
    account = service_accounts.create_service_account(
        people.core, "robot", Role.CUSTOM, custom_role=role, actor=SYSTEM
    )
    assert_stays(role)
    service_accounts.change_service_account(account, role=Role.VIEWER, disabled=False, actor=SYSTEM)
    (sent,) = invitations.invite(
        people.acme, ["ivy@example.org"], Offer(Role.CUSTOM, role),
        actor=actor(people.alice, people.acme),
    )  # fmt: skip
    assert_stays(role, "Open invitations offer this role")
    invitations.withdraw(sent.invitation, actor=SYSTEM)
    custom_roles.remove_role(role, actor=SYSTEM)
    assert not CustomRole.objects.exists()


def test_expired_invitation_does_not_keep_its_role(people: Cast) -> None:
    role = custom_roles.create_role(people.acme, "reader", ["usage.read"], actor=SYSTEM)
    invitations.invite(
        people.acme, ["ivy@example.org"], Offer(Role.CUSTOM, role),
        actor=actor(people.alice, people.acme),
    )  # fmt: skip
    Invitation.objects.update(expires_at=clock.now())
    custom_roles.remove_role(role, actor=SYSTEM)
    assert not CustomRole.objects.exists()
    assert not Invitation.objects.exists()


def assert_stays(role: CustomRole, why: str = "Members still have this role") -> None:
    with pytest.raises(Refused, match=why):
        custom_roles.remove_role(role, actor=SYSTEM)


def test_role_is_found_by_its_name_in_capitals(people: Cast) -> None:
    role = custom_roles.create_role(people.acme, "Prüfer", ["usage.read"], actor=SYSTEM)
    found = access.find_role(actor(people.alice, people.acme), "PRÜFER")
    assert found == (Role.CUSTOM, role)
