"""Pages of the room accounts."""

import base64
import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.device_sign_in import device_sign_in
from accounts.keys import keys
from accounts.members import invitations
from accounts.models import (
    AuditEvent,
    CustomRole,
    DeviceSignIn,
    Invitation,
    MailServer,
    Membership,
    Organisation,
    Role,
    SignInLink,
    SignUpSetting,
    SingleSignOn,
    Team,
    TryWindow,
    User,
)
from accounts.second_factor import second_factor
from accounts.secrets.link_texts import link_digest
from accounts.secrets.sealing import seal
from accounts.throttle import try_counts
from accounts.throttle.throttle import Action, Limit
from billing.trials import trials
from lib import clock
from lib.ids import id_text
from tests.house.outlines.scenes.scene import Scene
from tests.isolation.building import open_first_page
from tests.isolation.who import Who
from tests.isolation.world import World
from tests.support import cast

_LINK: Final = "a-text-of-a-link"
_CODE: Final = "WDJB-MJHT"
_VISITOR: Final = "visitor"
_NEWCOMER: Final = "new developer"


def _in(days: int) -> dt.datetime:
    return clock.now() + dt.timedelta(days=days)


def _page(path: str) -> Callable[[World], str]:
    return lambda world: path


def _as_visitor(world: World) -> None:
    """Let somebody ask who has not signed in."""
    world.clients[Who(_VISITOR)] = Client()


def _membership(world: World, role: str) -> Membership:
    return Membership.objects.get(user=world.people[role, "active"], organisation=world.acme)


# Who comes in ------------------------------------------------------------------------------------


def _invited(world: World, **over: Any) -> str:
    _as_visitor(world)
    invitation = Invitation.objects.create(
        organisation=world.acme, role=Role.VIEWER, message="See you on Monday", all_teams=False,
        invited_by=world.places["side"].user, digest=link_digest(_LINK),
        **{"expires_at": _in(7), **over},
    )  # fmt: skip
    invitation.teams.set([world.core, world.side])
    return f"/invite/{_LINK}"


def _invited_by_email(world: World) -> str:
    return _invited(world, email="else@example.org")


def _invited_by_letter(world: World) -> str:
    """The link of a letter confirms the address, so one can sign up there."""
    _invited(world, email="else@example.org")
    return f"/invite/{invitations._MAILED.sign(_LINK)}"


def _invited_where_none_sign_up(world: World) -> str:
    SignUpSetting.objects.create(mode="off")
    return _invited(world)


def _open(world: World) -> None:
    """Let everybody sign up, who then has to confirm an address."""
    SignUpSetting.objects.create(mode="open", captcha=False)
    _mail_server(world)


def _mail_server(world: World) -> str:
    MailServer.objects.create(
        host="mail.example", port=587, encryption="starttls", sender="weir@acme.example"
    )
    return "/admin/settings/mail"


def _invite_by_email(world: World) -> str:
    return "/o/acme/team/invitations/new"


def _link(world: World) -> str:
    _as_visitor(world)
    SignInLink.objects.create(digest=link_digest(_LINK), user=world.dora, expires_at=_in(5))
    return f"/link/{_LINK}"


def _login(world: World) -> str:
    _open(world)
    _as_visitor(world)
    return "/login?refused=passkey&next=/o/acme"


def _throttled(world: World, action: Action, path: str) -> str:
    _as_visitor(world)
    limit = Limit(f"{action} 127.0.0.1", 0, 0)
    TryWindow.objects.create(
        subject=try_counts._digest(limit), tries=1_000,
        ends_at=clock.now() + dt.timedelta(minutes=6, seconds=30),
    )  # fmt: skip
    return path


def _device(world: World, query: str = "") -> str:
    DeviceSignIn.objects.create(
        digest=link_digest(_LINK), user_code_digest=device_sign_in._user_code_digest(_CODE),
        client="Claude Code", address="192.0.2.7", expires_at=clock.now() + dt.timedelta(minutes=9),
    )  # fmt: skip
    return f"/device{query}"


def _without_organisation(world: World) -> str:
    """Somebody who may found one, and would get a credit."""
    _open(world)
    user = world.people["no role", "active"]
    EmailAddress.objects.update_or_create(
        user=user, email=user.email, defaults={"verified": True, "primary": True}
    )
    trials.save_trial_setting(cast.actor(world.dora), amount="7", once="person", days=17)
    return "/"


# Somebody's own ----------------------------------------------------------------------------------


def _secured(world: World) -> str:
    """An app, passkeys, codes, and single sign-on of the organisation."""
    user = world.people["developer", "active"]
    Authenticator.objects.create(
        user=user, type="totp", data={"secret": "x"}, last_used_at=_in(-9), created_at=_in(-11)
    )
    for name, used in (("Laptop", _in(-13)), ("Phone", None)):
        data = {"name": name, "credential": {}}
        Authenticator.objects.create(user=user, type="webauthn", data=data, last_used_at=used)
    seed = base64.b64encode(seal("a-seed", second_factor._seal_context(user.pk))).decode()
    codes = {"seed": seed, "used_mask": 0b1011}
    Authenticator.objects.create(user=user, type="recovery_codes", data=codes)
    SingleSignOn.objects.create(
        organisation=world.acme, issuer="https://id.example", client_id="weir", sealed=b""
    )
    return "/account/security"


def _without_factor(world: World) -> str:
    Organisation.objects.filter(id=world.acme.id).update(second_factor_roles=["developer"])
    return "/account/security"


# Members, roles and keys -------------------------------------------------------------------------


def _role(world: World, role: str = "custom of own") -> str:
    custom = CustomRole.objects.get(organisation=world.acme, name=role.title())
    return f"/o/acme/team/roles/{id_text(custom.id)}"


def _role_in_use(world: World) -> str:
    return f"{_role(world)}/remove"


def _small_role(world: World) -> str:
    """A role that can do less than an admin, who may change it and grant no more than they have."""
    custom = custom_roles.create_role(world.acme, "Reader", ["models.read"], actor=SYSTEM)
    return f"/o/acme/team/roles/{id_text(custom.id)}"


def _newcomer(world: World) -> User:
    """Somebody of whom nothing is made when it is asked for, with two keys."""
    user = cast.member(world.acme, "nelly", Role.DEVELOPER)
    for n in (1, 2):
        cast.make_key(world.core, f"key {n}", user=user)
    client = cast.signed_in(user)
    open_first_page(client, user, world.acme)
    world.clients[Who(_NEWCOMER)] = client
    return user


def _own_keys(world: World) -> str:
    _newcomer(world)
    return "/o/acme/keys"


def _demoted(world: World) -> str:
    member = Membership.objects.get(user=_newcomer(world))
    return f"/o/acme/team/members/{member.pk}/_f/preview?role=viewer"


def _wrong_member(world: World) -> str:
    return f"/o/acme/team/members/{_membership(world, 'developer').pk}/edit"


def _link_invitation(world: World) -> str:
    _invited(world)
    invitation = Invitation.objects.get(digest=link_digest(_LINK))
    return f"/o/acme/team/invitations/{id_text(invitation.id)}/resend"


def _limited_team(world: World) -> str:
    Team.objects.filter(id=world.core.id).update(rpm=1_301, tpm=1_303, parallel=17)
    return "/o/acme/keys/new"


def _rotated(world: World) -> str:
    key, _ = cast.make_key(world.core, "deploy", user=world.people["owner", "active"])
    keys.rotate_key(SYSTEM, key, 160)
    return f"/o/acme/keys/{id_text(key.id)}/rotate"


# The audit log -----------------------------------------------------------------------------------


def _event(world: World, root: str = "/o/acme/audit", **over: Any) -> str:
    place = world.places["side"]
    event = AuditEvent.objects.create(
        **{
            "actor_user": place.user, "actor_key": place.key.id, "address": "192.0.2.9",
            "client": "curl", "session": "s-1307", "request_id": id_text(place.key.id),
            "reason": "Asked by phone", "organisation": world.acme, "action": "team.changed",
            "object_type": "team", "object_id": str(world.core.id),
            "detail": {"name": "Core", "before": {"rpm": 1319}, "after": {"rpm": 1321}},
            **over,
        }
    )  # fmt: skip
    return f"{root}/{id_text(event.id)}"


def _event_of_request(world: World, root: str) -> str:
    detail = {"request": id_text(world.places["side"].key.id)}
    return _event(world, root, object_type="entry", action="content.read", detail=detail)


_ENDED: Final[dict[str, dict[str, Any]]] = {
    "expired": {"expires_at": _in(-5)},
    "withdrawn": {"withdrawn_at": _in(-5)},
    "accepted": {"accepted_at": _in(-5)},
}

SCENES: Final = (
    Scene("invitation by a link", _invited, _VISITOR),
    Scene("invitation by a link where none may sign up", _invited_where_none_sign_up, _VISITOR),
    Scene("invitation by a letter", _invited_by_letter, _VISITOR,
          posted={"name": "", "password": "short"}),
    Scene("invitation by a link for a member of another", _invited, "no role"),
    Scene("invitation by email", _invited_by_email, _VISITOR),
    Scene("invitation by email for somebody else", _invited_by_email, "developer"),
    *(
        Scene(f"invitation that is {title}", partial(_invited, **over), "no role")
        for title, over in _ENDED.items()
    ),
    Scene("link that signs in", _link, _VISITOR),
    Scene("sign-in after a passkey was refused", _login, _VISITOR),
    Scene("sign-in too often", partial(_throttled, action="sign_in", path="/login?next=/o/acme"),
          _VISITOR, posted={"login": "a@example.org", "password": "x"}),
    Scene("reset too often", partial(_throttled, action="ask_reset", path="/password/reset"),
          _VISITOR, posted={"email": "a@example.org"}),
    Scene("device too often", partial(_throttled, action="device", path="/device"), "developer",
          posted={"user_code": "X"}),
    Scene("device that asks", partial(_device, query=f"?user_code={_CODE}"), "developer"),
    Scene("device that is unknown", _page("/device?user_code=BBBB-CCCC"), "developer"),
    Scene("device of one without keys", _page("/device"), "no role"),
    Scene("device that is allowed", _device, "developer",
          posted={"user_code": _CODE, "decision": "allow", "organisation": "acme"}),
    Scene("device that is refused", _device, "developer",
          posted={"user_code": _CODE, "decision": "deny", "organisation": "acme"}),
    Scene("nobody's organisation", _without_organisation, "no role"),
    Scene("security of one with every factor", _secured, "developer"),
    Scene("security of one who needs a factor", _without_factor, "developer"),
    Scene("mail server that is stored", _mail_server, "operator"),
    Scene("mail server with wrong values", _mail_server, "operator",
          posted={"host": "", "port": "99999", "encryption": "none", "sender": "x"}),
    Scene("role that an admin gives wrong permissions", _small_role, "admin",
          posted={"name": "", "permissions": ["none.such"]}),
    Scene("role in use that is to be deleted", _role_in_use, posted={}),
    Scene("built-in role with members", _page("/o/acme/team/roles/developer")),
    Scene("built-in role for one who sees no members", _page("/o/acme/team/roles/developer"),
          "viewer"),
    Scene("member who would lose keys", _demoted),
    Scene("member with a wrong role", _wrong_member, posted={"role": "none"}),
    Scene("invitation by a link that is made again", _link_invitation),
    Scene("new invitations", _invite_by_email,
          posted={"emails": "one@example.org, two@example.org", "role": "viewer", "days": "7",
                  "message": "Welcome"}),
    Scene("new invitations with errors", _invite_by_email, "admin",
          posted={"emails": "one@, two", "role": "owner", "days": "8", "message": "No. " * 126}),
    Scene("keys of one's own", _own_keys, _NEWCOMER),
    Scene("new key in a team with limits", _limited_team, "limited developer"),
    Scene("new key with errors", _limited_team,
          posted={"name": "", "rpm": "-1", "tpm": "x", "networks": "300.1.1.1", "tags": "x",
                  "budget": "0", "models": "", "data_regions": "xx", "cache_seconds": "0"}),
    Scene("key that is rotated", _rotated, posted={"grace_hours": "24"}),
    Scene("audit event with everything", _event),
    Scene("audit event of the installation",
          partial(_event, root="/admin/audit", organisation=None),
          "operator"),
    Scene("audit event of a request", partial(_event_of_request, root="/o/acme/audit")),
    Scene("audit event of a request for an operator",
          partial(_event_of_request, root="/admin/audit"), "operator"),
)  # fmt: skip
