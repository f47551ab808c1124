"""The forms of the pages; those of signing in are allauth's with our look."""

import datetime as dt
import re
from typing import Any

from allauth.account import forms as allauth
from django import forms
from django.utils.translation import gettext, gettext_lazy

from accounts.models import KeyKind
from lib import clock

_PATTERNS_MAX = 100
_PATTERN_LENGTH = 200


class KeyForm(forms.Form):
    """What a new key shall be."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=120,
        help_text=gettext_lazy("Where the key is used, for example web-prod."),
        widget=forms.TextInput(
            attrs={
                "class": "input",
                "autocomplete": "off",
                "autofocus": True,
                "spellcheck": "false",
            }
        ),
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        choices=[
            (KeyKind.RELAY, gettext_lazy("Model calls")),
            (KeyKind.MANAGEMENT, gettext_lazy("Management API")),
        ],
        help_text=gettext_lazy(
            "A key for model calls sees only its own usage. A management key does what your role "
            "allows and cannot call models."
        ),
        widget=forms.Select(attrs={"class": "input"}),
    )
    models = forms.CharField(
        label=gettext_lazy("Models"),
        required=False,
        max_length=4000,
        help_text=gettext_lazy(
            "Names or patterns such as gpt-*, one per line. Empty = all models."
        ),
        widget=forms.Textarea(
            attrs={"class": "input mono", "rows": 2, "spellcheck": "false", "autocomplete": "off"}
        ),
    )
    lifetime = forms.ChoiceField(
        label=gettext_lazy("Expires"),
        choices=[
            ("", gettext_lazy("Never")),
            ("7", gettext_lazy("In 7 days")),
            ("30", gettext_lazy("In 30 days")),
            ("90", gettext_lazy("In 90 days")),
            ("365", gettext_lazy("In a year")),
        ],
        required=False,
        widget=forms.Select(attrs={"class": "input"}),
    )

    def clean_models(self) -> list[str]:
        patterns = list(dict.fromkeys(re.split(r"[\s,]+", self.cleaned_data["models"].strip())))
        patterns = [pattern for pattern in patterns if pattern]
        if len(patterns) > _PATTERNS_MAX:
            raise forms.ValidationError(
                gettext("At most %(n)s models or patterns.") % {"n": _PATTERNS_MAX}
            )
        if any(len(pattern) > _PATTERN_LENGTH for pattern in patterns):
            raise forms.ValidationError(gettext("A name or pattern is too long."))
        return patterns

    def clean_lifetime(self) -> dt.datetime | None:
        days = self.cleaned_data["lifetime"]
        return clock.now() + dt.timedelta(days=int(days)) if days else None


class _Ours:
    """Gives the fields of an allauth form our look: labels above, no words inside the box."""

    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["class"] = "input"
            field.widget.attrs.pop("placeholder", None)
            field.help_text = ""


class LoginForm(_Ours, allauth.LoginForm):  # type: ignore[misc]
    """Signing in by address and password."""


class SignupForm(_Ours, allauth.SignupForm):  # type: ignore[misc]
    """A new person, who gets an organisation of their own."""


class ResetPasswordForm(_Ours, allauth.ResetPasswordForm):  # type: ignore[misc]
    """Asking for a link that sets a new password."""


class ResetPasswordKeyForm(_Ours, allauth.ResetPasswordKeyForm):  # type: ignore[misc]
    """The new password, by such a link."""


class ChangePasswordForm(_Ours, allauth.ChangePasswordForm):  # type: ignore[misc]
    """The new password, of somebody who is signed in."""


class SetPasswordForm(_Ours, allauth.SetPasswordForm):  # type: ignore[misc]
    """The first password, of somebody who has only ever used a link."""
