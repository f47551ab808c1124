"""Pages of signing in (W02)."""

from typing import Any, cast

from allauth.account import views as allauth
from allauth.account.internal.flows.login import record_authentication
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.guards.guards import public
from accounts.guards.reauthentication import (
    ConfirmationMixin,
    Purpose,
    can_confirm,
    redirect_to_confirmation,
    signed_in_recently,
)
from accounts.members import invitations
from accounts.models import SignUpMode, User
from accounts.sessions.security_changes import network_of_request
from accounts.sign_in import sign_in
from accounts.sign_in.forms import ResetPasswordKeyForm, SetPasswordForm, SignupForm
from accounts.sign_up import sign_up
from accounts.sign_up.conditions import current_mode
from accounts.throttle import try_counts
from accounts.throttled_forms.throttled_forms import throttle_view


class SignInView(allauth.LoginView):  # type: ignore[misc]
    """The sign-in page. It links to sign-up if the visitor may sign up."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return {**context, "may_sign_up": sign_up.may_sign_up(self.request)}


class SignUpView(allauth.SignupView):  # type: ignore[misc]
    """The sign-up page."""

    def get_initial(self) -> dict[str, Any]:
        initial: dict[str, Any] = super().get_initial()
        invitation = invitations.opened_invitation(self.request)
        return initial | {"email": invitation.email} if invitation else initial

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return {**context, "invited": invitations.is_invited(self.request), "mode": current_mode()}

    def closed(self) -> HttpResponse:
        context = {"by_invitation": current_mode() == SignUpMode.INVITE}
        return render(self.request, self.template_name_signup_closed, context)

    def form_valid(self, form: SignupForm) -> HttpResponseBase:
        try:
            return cast(HttpResponseBase, super().form_valid(form))
        except IntegrityError:
            # A concurrent request took the address; validating again reports that.
            return cast(HttpResponseBase, allauth.signup(self.request))


class ResetPasswordView(allauth.PasswordResetFromKeyView):  # type: ignore[misc]
    """Sets the new password after a link in an email."""

    def form_valid(self, form: ResetPasswordKeyForm) -> HttpResponseBase:
        response: HttpResponseBase = super().form_valid(form)
        # The person has proved as much as by signing in: that they read the account's mail.
        try_counts.remember(self.reset_user, network_of_request(self.request))
        return response


class ConfirmByPasswordView(ConfirmationMixin, allauth.ReauthenticateView):  # type: ignore[misc]
    """Confirms the identity of a signed-in person by the password."""


class SetPasswordView(ConfirmationMixin, allauth.PasswordSetView):  # type: ignore[misc]
    """Sets the first password of a person who signed in by a link or single sign-on; no
    confirmation is required right afterwards. A person who has another way to confirm who they are
    must use it first."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        user = cast(User, request.user)
        has_password = user.has_usable_password()
        if not has_password and not signed_in_recently(request) and can_confirm(user):
            return redirect_to_confirmation(request)
        return cast(HttpResponseBase, super().dispatch(request, *args, **kwargs))

    def form_valid(self, form: SetPasswordForm) -> HttpResponseBase:
        response: HttpResponseBase = super().form_valid(form)
        record_authentication(self.request, form.user, method="password")
        return response


set_password = throttle_view("change_password")(SetPasswordView.as_view())
set_password.purpose = Purpose(  # type: ignore[attr-defined]
    gettext_lazy("set a password"), (gettext_lazy("Security"), gettext_lazy("Password"))
)


@public
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_link(request: HttpRequest, text: str) -> HttpResponseBase:
    # Opening the page does not use up the link, because mail programs and chats open links by
    # themselves.
    if request.method != "POST":
        link = sign_in.living_link(text)
        return _link_page(request, email=link.user.email) if link else _link_page(request)
    return sign_in.sign_in_by_link(request, text) or _link_page(request)


def _link_page(request: HttpRequest, email: str = "") -> HttpResponse:
    return render(
        request, "accounts/sign_in/link.html", {"email": email}, status=200 if email else 410
    )
