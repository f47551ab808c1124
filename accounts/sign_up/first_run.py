"""First run: somebody becomes the first operator with a one-time link that a command prints.

Whoever can run a command of the installation owns it. There is no default password, and no page
that creates an operator without the link.
"""

import datetime as dt
from typing import Final

from allauth.account.models import EmailAddress
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext

from accounts.access.actors import SYSTEM
from accounts.audit import audit
from accounts.members import members
from accounts.models import Organisation, SetUpLink, User
from accounts.organisations import organisations
from accounts.secrets.link_texts import link_digest, new_link_text
from accounts.sessions.security_changes import oneself
from lib import clock
from lib.refusal import Refused

SET_UP_LINK: Final = dt.timedelta(hours=24)
"""How long the link stays valid."""


class SetUpDone(Exception):
    """The link does not work: it is unknown, used or expired, or an operator exists. All of these
    look the same."""


def is_set_up() -> bool:
    """Return whether the installation has an operator."""
    return User.objects.filter(operator=True).exists()


def has_organisations() -> bool:
    """Return whether the installation has an organisation."""
    return Organisation.objects.exists()


def make_set_up_link() -> str:
    """Create a one-time link that creates the first operator, and return its path. Earlier links
    end. Raises Refused if an operator exists."""
    if is_set_up():
        raise Refused("email", gettext("This installation already has an operator."))
    text = new_link_text()
    with transaction.atomic():
        SetUpLink.objects.all().delete()
        link = SetUpLink.objects.create(
            digest=link_digest(text), expires_at=clock.now() + SET_UP_LINK
        )
        audit.record(SYSTEM, None, "set_up_link.made", link)
    return reverse("set_up", args=[text])


def is_living(text: str) -> bool:
    """Return whether a link with that text can still create an operator."""
    return _living(text).exists() and not is_set_up()


def set_up(text: str, email: str, name: str, hashed_password: str) -> User:
    """Use the link and create the first operator. One conditional UPDATE decides between concurrent
    requests. Raises SetUpDone."""
    with transaction.atomic():
        if not _living(text).update(used_at=clock.now()) or is_set_up():
            raise SetUpDone
        user = members.add_person(email, name=name, operator=True, actor=SYSTEM)
        user.password = hashed_password
        user.save(update_fields=["password"])
        # The person who runs the installation vouches for the address.
        EmailAddress.objects.update_or_create(
            user=user, email=user.email, defaults={"verified": True, "primary": True}
        )
        audit.record(oneself(user), None, "installation.set_up", user, email=user.email)
    return user


def create_first_organisation(user: User, name: str) -> Organisation:
    """Create an organisation owned by an operator who has none. Return the existing one if the form
    was sent twice. Raises Refused for an invalid name."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        membership = user.memberships.select_related("organisation").first()
        if membership is not None:
            return membership.organisation
        return organisations.create_organisation(name, owner=user, actor=oneself(user))


def _living(text: str) -> QuerySet[SetUpLink]:
    return SetUpLink.objects.filter(
        digest=link_digest(text), used_at=None, expires_at__gt=clock.now()
    )
