"""Fields and forms of limits: of keys, and of whoever else has some of them."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy

from accounts.limits.answer_cache import SECONDS_MAX, SECONDS_MIN
from accounts.limits.rules import ENDPOINTS, LIMIT_MAX, LISTED_MAX, LimitInvalid, check_limits
from accounts.names.labels import split_labels
from lib.forms.picker import PickSelectMultiple, split_words
from lib.numbers.whole_numbers import WholeNumberField

# The message for a value of the wrong type. The rules use the same message for files and the API.
_NO_SUCH = {
    "networks": gettext_lazy(
        "%(word)s is not a valid network. Write it as 10.0.0.0/8 or as a single address."
    ),
    "end_user_networks": gettext_lazy(
        "%(word)s is not a network of one application. Write it as 10.0.0.0/8 or as a single "
        "address."
    ),
    "data_regions": gettext_lazy("%(word)s is not a region. Enter one such as eu or us-east-1."),
    "tags": gettext_lazy("%(word)s is not a valid tag. A tag has 1 to 100 visible characters."),
}


def _count(label: Any, hint: Any) -> WholeNumberField:
    return WholeNumberField(
        label=label,
        required=False,
        min_value=1,
        max_value=LIMIT_MAX,
        help_text=hint,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )


def _words_field(label: Any, hint: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        required=False,
        max_length=4000,
        help_text=hint,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )


def required_labels_field() -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label=gettext_lazy("Required labels"),
        required=False,
        choices=[
            ("project", gettext_lazy("Project")),
            ("customer", gettext_lazy("End customer")),
            ("tags", gettext_lazy("Tags")),
        ],
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Reject requests missing these labels."),
    )


def zero_retention_field() -> forms.BooleanField:
    return forms.BooleanField(
        label=gettext_lazy("Require zero data retention"),
        required=False,
        help_text=gettext_lazy("Only use providers that retain no data."),
    )


def data_regions_field() -> forms.CharField:
    return _words_field(
        gettext_lazy("Data regions"),
        gettext_lazy("For example eu or us-east-1. Only use providers in these regions."),
    )


class CachingForm(forms.Form):
    """Whether answers are served again to identical requests. No seconds: as the team has it."""

    cache_seconds = WholeNumberField(
        label=gettext_lazy("Serve answers from cache for (seconds)"),
        required=False,
        min_value=0,
        max_value=SECONDS_MAX,
        help_text=gettext_lazy(
            "Identical requests get the same answer again, for 60 to 604,800 seconds. 0 turns it "
            "off; of a key, empty means as its team has it."
        ),
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    cache_price_percent = WholeNumberField(
        label=gettext_lazy("Price of a cached answer (%)"),
        required=False,
        min_value=0,
        max_value=100,
        help_text=gettext_lazy("Of what the first request was charged. 0 is free."),
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )

    def clean_cache_seconds(self) -> int | None:
        seconds: int | None = self.cleaned_data["cache_seconds"]
        if seconds is not None and 0 < seconds < SECONDS_MIN:
            text = gettext("Enter 0, or at least %(n)s.") % {"n": SECONDS_MIN}
            raise forms.ValidationError(text)
        return seconds

    def clean_cache_price_percent(self) -> int:
        return self.cleaned_data["cache_price_percent"] or 0


class EndUsersForm(forms.Form):
    """How the requests of a key name their end users."""

    end_user_header = forms.CharField(
        label=gettext_lazy("Header with the end user"),
        required=False,
        max_length=100,
        help_text=gettext_lazy(
            "For applications such as Open WebUI and LibreChat that share one key. Leave empty for "
            "none."
        ),
        widget=forms.TextInput(
            attrs={"spellcheck": "false", "autocomplete": "off", "list": "end-user-headers"}
        ),
    )
    end_user_networks = _words_field(
        gettext_lazy("Networks of the application"),
        gettext_lazy("Weir accepts the header only from these. Empty: any, if it is signed."),
    )
    end_users_signed = forms.BooleanField(
        label=gettext_lazy("The header must be signed"),
        required=False,
        help_text=gettext_lazy(
            "By the key's end-user secret, as Open WebUI signs it. The key's page shows the secret."
        ),
    )

    def clean_end_user_header(self) -> str:
        header: str = self.cleaned_data["end_user_header"].lower()
        try:
            check_limits({"end_user_header": header})
        except LimitInvalid as error:
            text = gettext("Enter the name of a header such as x-openwebui-user-email.")
            raise forms.ValidationError(text) from error
        return header


class CountsForm(forms.Form):
    """Limits per minute and on concurrent requests. An empty field means no limit."""

    rpm = _count(gettext_lazy("Requests per minute"), gettext_lazy("Over any 60 seconds."))
    tpm = _count(
        gettext_lazy("Tokens per minute"),
        gettext_lazy("Counts a request's maximum tokens until it ends, then its actual tokens."),
    )
    parallel = _count(
        gettext_lazy("Concurrent requests"), gettext_lazy("Requests running at the same time.")
    )


class LimitsForm(EndUsersForm, CachingForm, CountsForm):
    """Restrictions of a key. Every field may be empty."""

    endpoints = forms.MultipleChoiceField(
        label=gettext_lazy("Endpoints"),
        required=False,
        choices=[(name, name) for name in ENDPOINTS],
        widget=PickSelectMultiple(notes=lambda: ENDPOINTS),
        error_messages={
            "invalid_choice": gettext_lazy("There is no endpoint named %(value)s."),
        },
        help_text=gettext_lazy("Leave empty to allow all."),
    )
    networks = _words_field(
        gettext_lazy("Allowed networks"),
        gettext_lazy("For example 10.0.0.0/8. Leave empty to allow any address."),
    )
    tags = _words_field(
        gettext_lazy("Tags"),
        gettext_lazy(
            "Separated by commas. Added to every request made with this key, for grouping and "
            "budgets."
        ),
    )
    required_labels = required_labels_field()
    log_content = forms.BooleanField(
        label=gettext_lazy("Store content"),
        required=False,
        initial=True,
        help_text=gettext_lazy(
            "Keep answers (encrypted) for up to 24 hours so requests can continue or replay them."
        ),
    )

    zero_retention = zero_retention_field()
    data_regions = data_regions_field()

    def clean_data_regions(self) -> list[str]:
        return self._listed("data_regions", split_words)

    @property
    def has_limit_errors(self) -> bool:
        """Whether one of these fields is wrong; forms that fold them away open them then."""
        return any(name in self.errors for name in LimitsForm.base_fields)

    def clean_networks(self) -> list[str]:
        return self._listed("networks", split_words)

    def clean_end_user_networks(self) -> list[str]:
        return self._listed("end_user_networks", split_words)

    def clean_tags(self) -> list[str]:
        return self._listed("tags", split_labels)

    def _listed(self, field: str, split: Callable[[str], list[str]]) -> list[str]:
        words = split(self.cleaned_data[field])
        for word in words:
            try:
                check_limits({field: [word]})
            except LimitInvalid as error:
                message = _NO_SUCH[field] % {"word": word[:40]}
                raise forms.ValidationError(message) from error
        try:
            check_limits({field: words})
        except LimitInvalid as error:
            text = gettext("You can list up to %(n)s entries.") % {"n": LISTED_MAX}
            raise forms.ValidationError(text) from error
        return words
