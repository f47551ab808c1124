"""The pages of a second factor: at sign-in (W02), and where people set it up (W60)."""

import json
from typing import Any, cast

from allauth.account.models import Login
from allauth.account.utils import get_next_redirect_url
from allauth.mfa.base import views as base
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from allauth.mfa.webauthn.internal import auth as ceremony
from allauth.mfa.webauthn.internal.flows import perform_passwordless_login
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse_lazy
from django.utils.http import urlencode
from django.views.decorators.http import require_safe
from django.views.generic.edit import FormView

from accounts.access import entry_requirements
from accounts.audit import audit
from accounts.guards.reauthentication import ConfirmationMixin
from accounts.models import User
from accounts.second_factor import second_factor
from accounts.second_factor.forms import LoginPasskeyForm, RenamePasskeyForm
from accounts.sessions import security_changes
from accounts.single_sign_on import single_sign_on

_HERE = reverse_lazy("mfa_index")


@require_safe
def security_page(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    rows = second_factor.factors_of(user)
    return render(
        request,
        "mfa/index.html",
        {
            "has_password": user.has_usable_password(),
            "app": next((row for row in rows if row.type == Authenticator.Type.TOTP), None),
            "passkeys": [row for row in rows if row.type == Authenticator.Type.WEBAUTHN],
            "codes_left": second_factor.recovery_codes_left(rows),
            "may_add": second_factor.may_add(user),
            "connections": single_sign_on.connections_of(user),
            "forced_by": [
                one.name for one in entry_requirements.organisations_that_require_factor(user)
            ],
        },
    )


# At sign-in -------------------------------------------------------------------------------------


class AuthenticateView(base.AuthenticateView):  # type: ignore[misc]
    """Asks for a code or a passkey after the password."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        types = {row.type for row in second_factor.factors_of(self.stage.login.user)}
        has_passkey = Authenticator.Type.WEBAUTHN in types
        return context | {
            "options": json.dumps(context["js_data"]["request_options"]) if has_passkey else "",
            "has_codes": types - {Authenticator.Type.WEBAUTHN},
        }


class PasskeyLoginView(webauthn.LoginWebAuthnView):  # type: ignore[misc]
    """Signs in by a passkey alone: GET returns the options for the script, POST receives the
    answer."""

    def form_valid(self, form: LoginPasskeyForm) -> HttpResponse:
        row = form.cleaned_data["credential"]
        login = Login(user=row.user, redirect_url=get_next_redirect_url(self.request))
        return cast(HttpResponse, perform_passwordless_login(self.request, row, login))

    def form_invalid(self, form: LoginPasskeyForm) -> HttpResponse:
        query = {"refused": "passkey"}
        if back := get_next_redirect_url(self.request):
            query["next"] = back
        return redirect(f"{resolve_url('account_login')}?{urlencode(query)}")


# Changes ----------------------------------------------------------------------------------------


class _Recorded:
    """Audits the change and writes the person an email, in the transaction of the change."""

    request: HttpRequest
    action: str

    def form_valid(self, form: Any) -> HttpResponseBase:
        with transaction.atomic():
            response: HttpResponseBase = super().form_valid(form)  # type: ignore[misc]
            self.record(form)
        return response

    def record(self, form: Any) -> None:
        security_changes.record_change(self.request, cast(User, self.request.user), self.action)


class AddAppView(_Recorded, totp.ActivateTOTPView):  # type: ignore[misc]
    """Add an authenticator app: scan, then type the first code."""

    def record(self, form: Any) -> None:
        second_factor.app_added(self.request, cast(User, self.request.user), form.step)


class RemoveAppView(_Recorded, totp.DeactivateTOTPView):  # type: ignore[misc]
    """Remove the authenticator app."""

    action = "authenticator_app.removed"


@require_safe
def app_qr(request: HttpRequest) -> HttpResponse:
    """Return the secret of the app that is being added, as a QR code."""
    user = cast(User, request.user)
    secret = second_factor.pending_secret(request, user, anew=False)
    adapter = second_factor.MFAAdapter()
    picture = adapter.build_totp_svg(adapter.build_totp_url(user, secret))
    return HttpResponse(picture, content_type="image/svg+xml")


class NewRecoveryCodesView(_Recorded, recovery_codes.GenerateRecoveryCodesView):  # type: ignore[misc]
    """Create new recovery codes; the old ones stop working."""

    action = "recovery_codes.made"


class AddPasskeyView(_Recorded, webauthn.AddWebAuthnView):  # type: ignore[misc]
    """Add a passkey that can also sign in by itself."""

    action = "passkey.added"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        # Replace allauth's own options, which request a key that cannot sign in by itself.
        context = FormView.get_context_data(self, **kwargs)
        options = ceremony.begin_registration(self.request.user, True)
        return context | {"options": json.dumps(options)}


class RemovePasskeyView(_Recorded, webauthn.RemoveWebAuthnView):  # type: ignore[misc]
    """Remove a passkey."""

    action = "passkey.removed"
    success_url = _HERE


class RenamePasskeyView(webauthn.EditWebAuthnView):  # type: ignore[misc]
    """Rename a passkey. This does not affect sign-in, so no email is sent."""

    success_url = _HERE

    def form_valid(self, form: RenamePasskeyForm) -> HttpResponseBase:
        with transaction.atomic():
            response: HttpResponseBase = super().form_valid(form)
            actor = security_changes.oneself(cast(User, self.request.user))
            audit.record(actor, None, "passkey.renamed", form.instance)
        return response


class ConfirmByCodeView(ConfirmationMixin, base.ReauthenticateView):  # type: ignore[misc]
    """Confirm the identity of a signed-in person by a code."""


class ConfirmByPasskeyView(ConfirmationMixin, webauthn.ReauthenticateWebAuthnView):  # type: ignore[misc]
    """Confirm the identity of a signed-in person by a passkey."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {"options": json.dumps(context["js_data"]["request_options"])}

    def form_invalid(self, form: Any) -> HttpResponse:
        return cast(HttpResponse, self.render_to_response(self.get_context_data(form=form)))
