"""The forms for signing in. They come from allauth, with our look."""

from collections.abc import Callable
from typing import Any, ClassVar, Final, cast

from allauth.account import forms as allauth
from allauth.core import context
from django import forms
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from accounts.models import User
from accounts.sessions.security_changes import network_of_request
from accounts.sign_up import sign_up
from accounts.throttle import captcha, try_counts
from accounts.throttle.throttle import Limit, limits_of_letters, limits_of_unchecked_resets

_NEW_PASSWORD: Final[dict[str, Promise]] = {
    "password1": gettext_lazy("New password"),
    "password2": gettext_lazy("Repeat the new password"),
}


class _Ours:
    """Removes the help texts and placeholders from an allauth form."""

    fields: dict[str, forms.Field]
    labels: ClassVar[dict[str, Promise]] = {"password2": gettext_lazy("Repeat the password")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            if name in self.labels:
                field.label = cast("str", self.labels[name])
            field.widget.attrs.pop("placeholder", None)
            field.help_text = ""


class LoginForm(_Ours, allauth.LoginForm):  # type: ignore[misc]
    """Signs in by address and password."""


class _Checked(_Ours):
    """Asks the browser for a proof of work (static/js/captcha.js) where `checks_browser` says so.
    The answer is spent by each attempt, and the page that follows brings another challenge."""

    cleaned_data: dict[str, Any]
    add_error: Callable[[None, str], None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["captcha"] = forms.CharField(
            required=False, max_length=captcha.ANSWER_MAX, widget=forms.HiddenInput
        )

    def checks_browser(self) -> bool:
        """Return whether the browser must solve a challenge: each form has its own rule."""
        raise NotImplementedError

    def challenge(self) -> str:
        """Return a new challenge for the page, or "" if the browser is not checked."""
        return captcha.new_challenge() if self.checks_browser() else ""

    def check_browser(self) -> None:
        """Spend the answer; a refusal is an error of the form. A request that validates its form
        again has spent it already."""
        request = context.request
        if getattr(request, "browser_checked", False):
            return
        try:
            captcha.accept(self.cleaned_data.get("captcha", ""))
        except captcha.CaptchaRefused as refused:
            self.add_error(None, str(refused))
        else:
            request.browser_checked = True


class SignupForm(_Checked, allauth.SignupForm):  # type: ignore[misc]
    """Creates an account."""

    # allauth's own field takes more than the column has, and the account would have the beginning.
    email = allauth.EmailField(max_length=254)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password1"].help_text = gettext("At least 10 characters.")

    def checks_browser(self) -> bool:
        return sign_up.checks_browser(context.request)

    def clean(self) -> Any:
        cleaned = super().clean()
        if self.checks_browser():
            self.check_browser()
        return cleaned

    def clean_email(self) -> str:
        # Check this before any look-up, so that known and unknown addresses of a domain get the
        # same answer.
        if not sign_up.accepts(context.request, self.cleaned_data["email"]):
            raise forms.ValidationError(
                gettext(
                    "Sign-up with this email domain is by invitation only. Use your work "
                    "address, or ask a member of your organisation to invite you."
                )
            )
        return str(super().clean_email())

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        if self.account_already_exists:
            # Take as long as creating an account would. Nearly all of that time is the hash.
            make_password(self.cleaned_data["password1"])
        saved: tuple[User | None, HttpResponse | None] = super().try_save(request)
        return saved


class ResetPasswordForm(_Checked, allauth.ResetPasswordForm):  # type: ignore[misc]
    """Requests a link that sets a new password. The first few of a network need no check."""

    email = allauth.EmailField(max_length=254)

    def checks_browser(self) -> bool:
        return sign_up.checks_browsers() and try_counts.is_used_up(self._unchecked())

    def clean(self) -> Any:
        cleaned = super().clean()
        if sign_up.checks_browsers():
            try:
                try_counts.count(self._unchecked())
            except try_counts.TooManyTries:
                self.check_browser()
        return cleaned

    def _unchecked(self) -> tuple[Limit, ...]:
        return limits_of_unchecked_resets(network_of_request(context.request))

    def save(self, request: HttpRequest, **kwargs: Any) -> Any:
        try_counts.count(limits_of_letters(self.cleaned_data["email"]))
        return super().save(request, **kwargs)


class ResetPasswordKeyForm(_Ours, allauth.ResetPasswordKeyForm):  # type: ignore[misc]
    """Sets the new password after such a link."""

    labels: ClassVar[dict[str, Promise]] = _NEW_PASSWORD


class ChangePasswordForm(_Ours, allauth.ChangePasswordForm):  # type: ignore[misc]
    """Changes the password of a signed-in person."""

    labels: ClassVar[dict[str, Promise]] = {
        **_NEW_PASSWORD,
        "oldpassword": gettext_lazy("Current password"),
    }


class SetPasswordForm(_Ours, allauth.SetPasswordForm):  # type: ignore[misc]
    """Sets the first password of a person who has only used sign-in links."""


class ReauthenticateForm(_Ours, allauth.ReauthenticateForm):  # type: ignore[misc]
    """Asks a signed-in person for the password again."""
