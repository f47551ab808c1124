"""What an organisation asks of a member's session before it lets it in: its own single sign-on, a
second factor.

Keys are not asked: they are what programs sign in by. Who does not have it is led to where it is
had, and nowhere else in the organisation before.
"""

from collections.abc import Iterable
from urllib.parse import urlencode

from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from accounts.models import Membership, Organisation, Role, SingleSignOn, User
from lib.database.tenancy import within
from lib.ids import id_text

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
    if membership.role != Role.OWNER:
        _check_single_sign_on(request, user, organisation)
    if must_add_factor(user, organisation, membership):
        raise EntryRefused(
            reverse("mfa_index"),
            gettext("%(organisation)s requires two-factor authentication. Set it up at %(url)s.")
            % {"organisation": organisation.name, "url": reverse("mfa_index")},
        )


def _check_single_sign_on(request: HttpRequest, user: User, organisation: Organisation) -> None:
    row = SingleSignOn.objects.filter(organisation=organisation, required=True).first()
    if row is None:
        return
    id = id_text(row.pk)
    records = get_authentication_records(request, user)
    if any(record.get("provider") == id for record in records):
        return
    url = f"{reverse('openid_connect_login', args=[id])}?{urlencode({'next': request.path})}"
    raise EntryRefused(
        url,
        gettext("%(organisation)s requires single sign-on. Sign in with it first.")
        % {"organisation": organisation.name},
    )


def must_add_factor(user: User, organisation: Organisation, membership: Membership) -> bool:
    return membership.role in organisation.second_factor_roles and not has_factor(user)


def has_factor(user: User) -> bool:
    """Whether signing in asks that person for more than a password."""
    return bool(Authenticator.objects.filter(user=user, type__in=FACTORS).exists())


def people_with_factor(people: Iterable[int]) -> set[int]:
    """Those of these people of whom `has_factor` is true. One query; how people sign in belongs to
    no organisation, so the caller says whose colleagues they are."""
    with within(None):
        rows = Authenticator.objects.filter(user__in=list(people), type__in=FACTORS)
        return set(rows.values_list("user", flat=True))


def organisations_that_require_factor(user: User) -> list[Organisation]:
    """Those that keep the person out until a factor is added, by name."""
    memberships = Membership.objects.select_related("organisation").filter(user=user)
    return [
        membership.organisation
        for membership in memberships.order_by("organisation__name")
        if must_add_factor(user, membership.organisation, membership)
    ]
