"""Requirements of an organisation for its members' sessions: its own single sign-on, or a second
factor.

Keys are exempt, because programs sign in with them. A member who does not meet a requirement is
sent to the page where they can, and can open nothing else in the organisation.
"""

from collections.abc import Iterable
from urllib.parse import urlencode

from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from accounts.models import Membership, Organisation, Role, SingleSignOn, User
from lib.database.tenancy import use_tenant
from lib.ids import id_text

FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
"""The types of second factor. Recovery codes only replace one."""


class EntryRefused(Exception):
    """The session does not meet a requirement of the organisation. `url` is the page where the
    person can meet it."""

    def __init__(self, url: str, text: str) -> None:
        super().__init__(text)
        self.url = url
        self.text = text


def check(
    request: HttpRequest, user: User, organisation: Organisation, membership: Membership | None
) -> None:
    """Raise EntryRefused if the member's session does not meet the organisation's requirements."""
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
    """Return whether the person needs more than a password to sign in."""
    return bool(Authenticator.objects.filter(user=user, type__in=FACTORS).exists())


def people_with_factor(people: Iterable[int]) -> set[int]:
    """Return those of these people who have a second factor, in one query. Sign-in methods belong
    to no organisation, so the caller must pass people that the reader may know about."""
    with use_tenant(None):
        rows = Authenticator.objects.filter(user__in=list(people), type__in=FACTORS)
        return set(rows.values_list("user", flat=True))


def organisations_that_require_factor(user: User) -> list[Organisation]:
    """Return the organisations, by name, that the person cannot enter without adding a second
    factor."""
    memberships = Membership.objects.select_related("organisation").filter(user=user)
    return [
        membership.organisation
        for membership in memberships.order_by("organisation__name")
        if must_add_factor(user, membership.organisation, membership)
    ]
