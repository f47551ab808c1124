"""The forms of a second factor: allauth's, with our texts, attempt counts and sealed secrets."""

from typing import Any

from allauth.core import context
from allauth.mfa.base import forms as codes
from allauth.mfa.models import Authenticator
from allauth.mfa.totp import forms as totp
from allauth.mfa.webauthn import forms as webauthn
from django import forms
from django.utils.translation import gettext, gettext_lazy

from accounts.models import User
from accounts.second_factor import second_factor

_CODE_LENGTH = 40
_NAME_LENGTH = 60


def _code_field(label: Any, hint: Any = "") -> forms.CharField:
    return forms.CharField(
        label=label,
        help_text=hint,
        max_length=_CODE_LENGTH,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "autofocus": True,
                "spellcheck": "false",
                "inputmode": "numeric",
            }
        ),
    )


class _UsesCode:
    """Uses up the given code."""

    user: User
    cleaned_data: dict[str, Any]

    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"]
        try:
            self.authenticator = second_factor.use_code(context.request, self.user, code)
        except second_factor.CodeRefused as refused:
            raise forms.ValidationError(refused.text) from refused
        return code


_CODE_HINT = gettext_lazy("From your authenticator app, or one of your recovery codes.")


class AuthenticateForm(_UsesCode, codes.AuthenticateForm):  # type: ignore[misc]
    """The form for the code that follows the password."""

    code = _code_field(gettext_lazy("Authentication code"), _CODE_HINT)


class ReauthenticateForm(_UsesCode, codes.ReauthenticateForm):  # type: ignore[misc]
    """Asks a signed-in person for a code."""

    code = _code_field(gettext_lazy("Authentication code"), _CODE_HINT)


class ActivateTOTPForm(totp.ActivateTOTPForm):  # type: ignore[misc]
    """The form for the first code of an authenticator app, which proves that the app has the
    secret."""

    code = _code_field(gettext_lazy("Code from the app"))

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        self.user = user
        forms.Form.__init__(self, *args, **kwargs)
        self.secret = second_factor.pending_secret(context.request, user, anew=not self.is_bound)

    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"]
        step = second_factor.step_of(self.secret, code)
        if step is None:
            raise forms.ValidationError(second_factor.CodeRefused("wrong").text)
        self.step = step
        return code


# Passkeys ---------------------------------------------------------------------------------------


def _name_field() -> forms.CharField:
    return forms.CharField(
        label=gettext_lazy("Name"),
        max_length=_NAME_LENGTH,
        help_text=gettext_lazy("Where it is kept, for example Work laptop."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )


class AddPasskeyForm(webauthn.AddWebAuthnForm):  # type: ignore[misc]
    """The form for a new passkey, which can also be used without a password."""

    name = _name_field()
    # These options are sent to the browser and require a passkey that can sign in by itself.
    passwordless = None

    def clean_credential(self) -> dict[str, Any]:
        return _validate_credential(self.cleaned_data["credential"])


class RenamePasskeyForm(webauthn.EditWebAuthnForm):  # type: ignore[misc]
    """Renames a passkey."""

    name = _name_field()


class _UsesPasskey:
    """A form with its own message for a passkey that does not match."""

    cleaned_data: dict[str, Any]

    def clean_credential(self) -> Authenticator:
        _validate_credential(self.cleaned_data["credential"])
        try:
            return super().clean_credential()  # type: ignore[misc]
        except forms.ValidationError as refused:
            raise forms.ValidationError(passkey_refused()) from refused


class AuthenticatePasskeyForm(_UsesPasskey, webauthn.AuthenticateWebAuthnForm):  # type: ignore[misc]
    """The passkey as a second factor after the password."""


class LoginPasskeyForm(_UsesPasskey, webauthn.LoginWebAuthnForm):  # type: ignore[misc]
    """The form for signing in by a passkey instead of the password."""


class ReauthenticatePasskeyForm(_UsesPasskey, webauthn.ReauthenticateWebAuthnForm):  # type: ignore[misc]
    """Asks a signed-in person for a passkey."""


def passkey_refused() -> str:
    return gettext("This passkey was not accepted. Try again, or sign in another way.")


def _validate_credential(credential: Any) -> dict[str, Any]:
    """Validate the output of a browser's `toJSON`: an object of texts, with one nested object of
    texts."""
    if isinstance(credential, dict) and isinstance(credential.get("response"), dict):
        return credential
    raise forms.ValidationError(passkey_refused())
