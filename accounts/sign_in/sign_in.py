"""Signing in: the one-time link, and our settings for allauth."""

import logging
import smtplib
from typing import Any, cast

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.app_settings import EmailVerificationMethod
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from allauth.core.exceptions import ImmediateHttpResponse
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext, gettext_lazy

from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM
from accounts.audit import audit
from accounts.mail_server.current_server import mail_is_set_up
from accounts.models import SignInLink, User
from accounts.preferences.appearance import recall_appearance
from accounts.secrets.link_texts import link_digest, new_link_text
from accounts.secrets.password_hashing import release_connection
from accounts.sessions import sessions
from accounts.sessions.security_changes import (
    network_of_request,
    oneself,
    place_of_request,
    replace_password,
)
from accounts.sign_in import rules
from accounts.sign_on_connections import connections as sign_on_connections
from accounts.sign_up import listed_domains, sign_up
from accounts.throttle import try_counts
from accounts.throttle.throttle import limits_of_failures
from lib import clock
from outbox.facts import put

log = logging.getLogger(__name__)

_CONFIRM_WAYS = {
    "reauthenticate": gettext_lazy("Use your password"),
    "mfa_reauthenticate": gettext_lazy("Use a code"),
    "mfa_reauthenticate:webauthn": gettext_lazy("Use a passkey"),
}


def make_sign_in_link(user: User) -> str:
    """Create a one-time sign-in link for the person and return its path. Only a digest of its text
    is stored."""
    text = new_link_text()
    with transaction.atomic():
        SignInLink.objects.create(
            digest=link_digest(text), user=user, expires_at=clock.now() + rules.SIGN_IN_LINK
        )
        audit.record(SYSTEM, None, "sign_in_link.made", user)
    return reverse("sign_in_link", args=[text])


def living_link(text: str) -> SignInLink | None:
    """Return the sign-in link with that text if it is still valid."""
    return (
        SignInLink.objects.select_related("user")
        .filter(
            digest=link_digest(text),
            used_at=None,
            expires_at__gt=clock.now(),
            user__is_active=True,
        )
        .first()
    )


def use_sign_in_link(text: str) -> User | None:
    """Use up the link and return its person, or None if it is unknown, used or expired.

    One conditional UPDATE decides, so only one of two concurrent requests signs in.
    """
    with transaction.atomic():
        link = living_link(text)
        if link is None:
            return None
        used = SignInLink.objects.filter(digest=link.digest, used_at=None)
        if not used.update(used_at=clock.now()):
            return None
        audit.record(oneself(link.user), None, "sign_in_link.used", link.user)
    return link.user


def sign_in_by_link(request: HttpRequest, text: str) -> HttpResponseBase | None:
    """Use up the link and sign the person in, or ask for the second factor first. Return None if
    the link is unknown, used or expired."""
    user = use_sign_in_link(text)
    if user is None:
        return None
    record_authentication(request, user, method="link")
    # The person who created the link knows the address already.
    login = Login(user=user, email_verification=EmailVerificationMethod.NONE)
    return cast(HttpResponseBase, perform_login(request, login))


def note_sign_in(request: HttpRequest, user: User) -> None:
    """Store the network from which the person signed in. An email reports a new network."""
    network = network_of_request(request)
    with transaction.atomic():
        known = set(user.sign_in_networks.values_list("network", flat=True))
        try_counts.remember(user, network)
        if known and network not in known:
            put("sign_in.noticed", None, people=[user.pk], **place_of_request(request))


def is_own_path(url: str) -> bool:
    """Return whether a path belongs to this site; `//evil` and other hosts do not."""
    return url.startswith("/") and url_has_allowed_host_and_scheme(url, allowed_hosts=None)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Our settings for allauth."""

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Create the person, who belongs to no organisation until the address is confirmed."""
        # Saving hashes the password, which is slow, so no transaction is open yet.
        saved: User = super().save_user(request, user, form, commit=False)
        with transaction.atomic():
            saved.save()
            audit.record(
                oneself(saved), None, "user.created", saved, email=saved.email, operator=False
            )
        return saved

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Return the person with that address and password, or None. Raises TooManyTries,
        HashingBusy."""
        email, network = credentials["email"], network_of_request(request)
        limits = limits_of_failures(email, network, known=try_counts.is_known(email, network))
        try_counts.count(limits)
        AuthenticationBackend.unstash_authenticated_user()
        # Use only this backend: Django's would hash a wrong password a second time.
        user: User | None = AuthenticationBackend().authenticate(request, **credentials)
        # allauth shows deactivated people this, after a correct password.
        user = user or AuthenticationBackend.unstash_authenticated_user()
        if user is not None:
            try_counts.give_back(limits)
        return user

    def set_password(self, user: User, password: str) -> None:
        replace_password(self.request, user, password)

    def reauthenticate(self, user: User, password: str) -> bool:
        return self.authenticate(self.request, email=user.email, password=password) is not None

    def get_reauthentication_methods(self, user: User) -> list[dict[str, Any]]:
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        return [method | {"description": _CONFIRM_WAYS[method["id"]]} for method in methods]

    def get_client_ip(self, request: HttpRequest) -> str:
        return sessions.client_address(request)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("mfa_index")

    def is_safe_url(self, url: str) -> bool:
        return is_own_path(url)

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return sign_up.may_sign_up(request)

    def login(self, request: HttpRequest, user: User) -> None:
        if sign_on_connections.stale_record(request, user):
            text = gettext("Single sign-on failed. Start again from the sign-in page.")
            raise AccessDenied(text)
        # Join after the address is confirmed, and before the sign-in is recorded.
        listed_domains.join_by_domain(user)
        super().login(request, user)

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **kwargs)
        audit.record(oneself(user), None, "user.signed_in", user)
        note_sign_in(request, user)
        recall_appearance(response, user)
        return response

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Return a link on the installation's own host. The request's Host header is not used."""
        return settings.PUBLIC_URL + reverse(
            "account_reset_password_from_key", kwargs=_parts_of_reset_key(key)
        )

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return settings.PUBLIC_URL + reverse("account_confirm_email", args=[emailconfirmation.key])

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send an email that names the installation by its own address, not by the request's Host
        header."""
        urls = {
            "password_reset_url": context.get("password_reset_url")
            if "password_reset_key" in template_prefix
            else settings.PUBLIC_URL + reverse("account_reset_password"),
            "signup_url": settings.PUBLIC_URL + reverse("account_signup"),
            "public_url": settings.PUBLIC_URL,
        }
        # The mail server may be slow, so release the database connection first.
        release_connection()
        try:
            super().send_mail(template_prefix, email, {**context, **urls})
        except (smtplib.SMTPException, OSError) as error:
            log.error("an email of sign-in was not sent: %s", type(error).__name__)
            context = {"mail_is_set_up": mail_is_set_up()}
            answer = render(
                self.request, "accounts/sign_in/email_not_sent.html", context, status=503
            )
            raise ImmediateHttpResponse(answer) from error

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Show no message: the page itself shows whether the person is signed in."""


def _parts_of_reset_key(key: str) -> dict[str, str]:
    uidb36, _, rest = key.partition("-")
    return {"uidb36": uidb36, "key": rest}
