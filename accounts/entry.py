"""What an organisation asks of a member's session before it lets it in.

Keys are not asked: they are what programs sign in by. Who does not have it is led to where it is
had, and nowhere else in the organisation before.
"""

from allauth.mfa.models import Authenticator
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from accounts.models import Membership, Organisation, User

FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
"""What is a second factor by itself; recovery codes stand in for one."""


class EntryRefused(Exception):
    """The session lacks what the organisation asks for; `url` is where it is had."""

    def __init__(self, url: str, text: str) -> None:
        super().__init__(text)
        self.url = url
        self.text = text


def check(
    request: HttpRequest, user: User, organisation: Organisation, membership: Membership | None
) -> None:
    """Raise EntryRefused where the member's session may not come into the organisation yet."""
    if membership is None:
        return
    if must_add_factor(user, organisation, membership):
        raise EntryRefused(
            reverse("mfa_index"),
            gettext("%(organisation)s requires two-factor authentication. Set it up at %(url)s.")
            % {"organisation": organisation.name, "url": reverse("mfa_index")},
        )


def must_add_factor(user: User, organisation: Organisation, membership: Membership) -> bool:
    return membership.role in organisation.second_factor_roles and not has_factor(user)


def has_factor(user: User) -> bool:
    """Whether signing in asks that person for more than a password."""
    return bool(Authenticator.objects.filter(user=user, type__in=FACTORS).exists())


def organisations_that_require_factor(user: User) -> list[Organisation]:
    """Those that keep the person out until a factor is added, by name."""
    memberships = Membership.objects.select_related("organisation").filter(user=user)
    return [
        membership.organisation
        for membership in memberships.order_by("organisation__name")
        if must_add_factor(user, membership.organisation, membership)
    ]
