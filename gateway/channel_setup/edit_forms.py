"""Forms of channels: for the address of a new one, and the settings of an existing one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.names.labels import LABEL_LENGTH, join_labels, split_labels
from billing.currency.forms import MoneyField
from billing.currency.money import format_usd
from gateway.channel_setup.route_table import SECONDS, Change
from gateway.channels import bounds as bounds
from gateway.channels.channel_tests.rules import EVERY_MIN_MAX, TEXT_MAX
from gateway.channels.channel_tests.words import VARIANT_NAMES
from gateway.channels.channels import TIMEOUTS, parts_of
from gateway.channels.fields import AMOUNT_NAMES, SETTINGS, ChannelFields, ChannelSettings
from gateway.channels.overrides.conditions import FEATURE_WORDS, ConditionFields, form_values
from gateway.channels.passthrough.passthrough import parse_rules, rules_text
from gateway.channels.passthrough.rules import read_rules
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel
from gateway.providers import PROVIDERS
from lib.forms.fields import offer_fields
from lib.numbers.whole_numbers import WholeNumberField
from lib.refusal import Refused
from lib.sentences import join_words

INPUT: Final = {"class": "input", "autocomplete": "off"}
CODE: Final = {
    "class": "input mono",
    "autocomplete": "off",
    "autocapitalize": "none",
    "spellcheck": "false",
}
_LABELS_LENGTH: Final = bounds.LABELS_MAX * (LABEL_LENGTH + 2)
_PEM: Final = {**CODE, "rows": 4, "placeholder": "-----BEGIN …"}
TYPED_METERS: Final = ("in_text", "in_cache_read", "out_text")
"""The meters whose prices can be entered with a channel's models."""
# The installation itself sets up the demonstration.
OFFERED: Final = [name for name in PROVIDERS if name != "local"]


def provider_note(provider: str) -> str:
    """Return advice for operators who choose a provider, or ""."""
    note = PROVIDERS[provider].note if provider in PROVIDERS else ""
    return gettext(note) if note else ""


@dataclass(frozen=True, slots=True)
class ChosenModels:
    """The submitted form of a provider's models: the listed models with their names and typed
    prices (texts in USD by meter), those that are ticked, and further models that were typed."""

    listed: list[str]
    named: dict[str, str]
    ticked: list[str]
    by_hand: str
    priced: dict[str, dict[str, str]]


def chosen_from(sent: QueryDict) -> ChosenModels:
    """Parse the submitted form."""
    listed = sent.getlist("listed")[: bounds.ROUTES_MAX]
    names = [name.strip() for name in sent.getlist("public")]
    named: dict[str, Any] = dict(zip(listed, names, strict=False))
    priced = typed_prices(sent, listed)
    return ChosenModels(listed, named, sent.getlist("id"), sent.get("by_hand", ""), priced)


def typed_prices(sent: QueryDict, models: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the prices in the fields `<meter> <model>`, as texts by model and meter; a model
    without such fields is left out."""
    return {
        model: {meter: sent.get(f"{meter} {model}", "").strip() for meter in TYPED_METERS}
        for model in models
        if f"{TYPED_METERS[0]} {model}" in sent
    }


def _number(
    label: Any, least: int, most: int, unit: Any = "", *, required: bool = True
) -> WholeNumberField:
    attrs = {"class": "input", "inputmode": "numeric"}
    return WholeNumberField(
        label=label,
        required=required,
        min_value=least,
        max_value=most,
        help_text=unit,
        widget=forms.TextInput(attrs=attrs),
    )


class SecondsField(forms.CharField):
    """Seconds in digits, with up to three after the decimal point; other number formats are
    invalid."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        if not SECONDS.fullmatch(text):
            raise forms.ValidationError(gettext("Enter a number of seconds, such as 7.5."))
        return float(text)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except forms.ValidationError:
            return True


class AmountField(MoneyField):
    """An amount, which is compared by value, not by its text."""

    def __init__(self, label: Any, hint: Any) -> None:
        super().__init__(label=label, help_text=hint, required=False)
        self.widget.attrs["class"] = "input"

    def clean(self, value: Any) -> Any:
        nano = super().clean(value)
        if nano is not None and nano <= 0:
            raise forms.ValidationError(gettext("Enter an amount above 0."))
        return nano

    def prepare_value(self, value: Any) -> Any:
        return format_usd(value) if isinstance(value, int) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != initial)
        except forms.ValidationError:
            return True


class LabelsField(forms.CharField):
    """Labels, separated by commas."""

    def __init__(self, label: Any, hint: Any) -> None:
        widget = forms.TextInput(attrs={"class": "input", "autocomplete": "off"})
        super().__init__(
            label=label, help_text=hint, required=False, max_length=_LABELS_LENGTH, widget=widget
        )

    def to_python(self, value: Any) -> Any:
        return split_labels(super().to_python(value) or "")

    def run_validators(self, value: Any) -> None:
        super().run_validators(join_labels(value))

    def prepare_value(self, value: Any) -> Any:
        return join_labels(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != (initial or []))


class RulesField(forms.CharField):
    """Pass-through rules, one per line."""

    def __init__(self, label: Any, hint: Any) -> None:
        widget = forms.Textarea(attrs={**CODE, "rows": 4})
        super().__init__(
            label=label, help_text=hint, required=False, max_length=60_000, widget=widget
        )

    def to_python(self, value: Any) -> Any:
        try:
            return parse_rules(super().to_python(value) or "")
        except ChannelRefused as refused:
            raise forms.ValidationError(refused.message) from refused

    def run_validators(self, value: Any) -> None:
        """The write checks the rules."""

    def prepare_value(self, value: Any) -> Any:
        return rules_text(read_rules(value)) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((data or "").split() != self.prepare_value(initial or []).split())


def _seconds(label: Any) -> SecondsField:
    attrs = {"class": "input", "inputmode": "decimal"}
    return SecondsField(label=label, help_text=_("Seconds"), widget=forms.TextInput(attrs=attrs))


class PemField(forms.CharField):
    """PEM text with the line ends of its stored form. A secret one is never rendered."""

    def __init__(self, label: Any, hint: Any, *, secret: bool = False) -> None:
        widget = SecretText(attrs=_PEM) if secret else forms.Textarea(attrs=_PEM)
        super().__init__(label=label, help_text=hint, required=False, widget=widget)

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return "\n".join([*map(str.rstrip, text.splitlines()), ""]) if text else ""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != self.to_python(initial))


class SecretText(forms.Textarea):
    """A text of several lines that is never rendered."""

    def get_context(self, name: str, value: Any, attrs: Any) -> Any:
        return super().get_context(name, None, attrs)


@offer_fields(ChannelSettings)
class SettingsForm(ConditionFields):
    """The settings of a channel in one form, except its keys and its models."""

    provider = forms.ChoiceField(
        label=_("Provider"),
        choices=[(name, _(provider.label)) for name, provider in PROVIDERS.items()],
        widget=forms.Select(attrs={"class": "input"}),
    )
    base_url = forms.CharField(
        label=_("Base URL"),
        max_length=bounds.URL_MAX,
        required=False,
        widget=forms.TextInput(attrs={**CODE, "inputmode": "url"}),
    )
    secret = forms.CharField(
        label=_("API key for the new URL"),
        max_length=bounds.SECRET_MAX,
        required=False,
        help_text=_(
            "A new provider, base URL, proxy or trusted authority removes the stored secrets."
        ),
        widget=forms.PasswordInput(attrs={**CODE, "autocomplete": "new-password"}),
    )
    labels = LabelsField(
        _("Labels"),
        _("Separated by commas. To find this channel, and to change several channels at once."),
    )
    proxy_url = forms.CharField(
        label=_("Proxy"),
        max_length=bounds.URL_MAX,
        required=False,
        help_text=_("http://host:port or socks5://host:port. Leave empty to connect directly."),
        widget=forms.TextInput(attrs={**CODE, "inputmode": "url"}),
    )
    proxy_login = forms.CharField(
        label=_("Proxy login"),
        max_length=600,
        required=False,
        help_text=_("user:password. Stored encrypted, never shown again."),
        widget=forms.PasswordInput(attrs={**CODE, "autocomplete": "new-password"}),
    )
    ca_bundle = PemField(
        _("Trusted CAs"),
        _(
            "Certificates in PEM. If set, only these are trusted. "
            "Leave empty to trust the system's."
        ),
    )
    client_cert = PemField(
        _("Client certificate"),
        _("In PEM, with its chain. Leave empty to remove the stored key too."),
    )
    client_key = PemField(
        _("Client certificate key"),
        _("In PEM. Stored encrypted, never shown again."),
        secret=True,
    )
    spend_cap_day = AmountField(_("Per day (USD)"), _("Leave empty for no cap. Days are in UTC."))
    spend_cap_month = AmountField(_("Per month (USD)"), _("Calendar months in UTC."))
    balance_warn_below = AmountField(
        _("Warn below"), _("One alert each time it falls below. Leave empty for none.")
    )
    balance_rest_below = AmountField(_("Rest below"), _("Leave empty to go on until it is empty."))
    pass_through = RulesField(
        _("Paths"),
        _(
            "One rule per line: methods, path and price per request in USD, such as "
            "GET,POST /files/** 0.001. * is one segment, ** at the end one or more. For a price by "
            "a number in the JSON answer, add its pointer, the price per unit and the maximum "
            "charge: POST /search 0 /usage/credits 0.002 0.50. What the provider charges stands at "
            "the end: cost=0.0005 unit_cost=0.001."
        ),
    )
    connect = _seconds(_("Connect"))
    first_content = _seconds(_("First content"))
    idle = _seconds(_("Between chunks"))
    total = _seconds(_("Total"))
    breaker_enabled = forms.BooleanField(
        label=_("Circuit breaker"),
        required=False,
        help_text=_("Pauses the channel while most requests fail."),
    )
    failures = _number(
        _("Failures"),
        1,
        bounds.FAILURES_MAX,
        _("Leave empty to pause when most requests fail."),
        required=False,
    )
    window = _seconds(_("Counting window"))
    open_for = _seconds(_("Paused for"))
    test_every = _number(
        _("Test every"),
        1,
        EVERY_MIN_MAX,
        _("Minutes. Leave empty to test only by hand."),
        required=False,
    )
    test_variant = forms.ChoiceField(
        label=_("Test"),
        choices=list(VARIANT_NAMES.items()),
        widget=forms.Select(attrs={"class": "input"}),
    )
    test_model = forms.CharField(
        label=_("Model to test"),
        max_length=bounds.MODEL_MAX,
        required=False,
        help_text=_("Leave empty for the first one."),
        widget=forms.TextInput(attrs=CODE),
    )
    out_on_key = forms.BooleanField(
        label=_("Rejected key"),
        required=False,
        help_text=_("Turn the channel off when a test finds that the provider rejects its key."),
    )
    out_on_statuses = forms.CharField(
        label=_("Statuses"),
        max_length=TEXT_MAX,
        required=False,
        help_text=_("Of a failed test, such as 403, 5xx."),
        widget=forms.TextInput(attrs=CODE),
    )
    out_on_words = forms.CharField(
        label=_("Words"),
        max_length=TEXT_MAX,
        required=False,
        help_text=_("In the provider's message, separated by commas."),
        widget=forms.TextInput(attrs=INPUT),
    )
    out_below = _number(
        _("Success rate below (%)"),
        1,
        100,
        _("Share of successes, of at least 20 attempts in 15 minutes."),
        required=False,
    )

    def __init__(self, channel: Channel, data: QueryDict | None = None) -> None:
        super().__init__(data, initial=settings_values(channel))
        self.fields["provider"].help_text = provider_note(channel.provider)

    def add_refusal(self, refused: Refused) -> None:
        """Show a refusal at the form field that it concerns."""
        name = refused.field.removeprefix("timeouts.")
        name = {"breaker.failures": "failures", "keys": "secret"}.get(name, name)
        name = _TESTING_FIELDS.get(name.removeprefix("testing."), name)
        name = name.removeprefix("breaker.").removeprefix("conditions.")
        self.add_error(name if name in self.fields else None, refused.message)

    @property
    def moves(self) -> bool:
        """Whether the channel's address changes."""
        return not _ADDRESS.isdisjoint(self.changed_data)

    def channel_fields(self) -> ChannelFields:
        """Return the changed fields for a write."""
        changed = {name: self.cleaned_data[name] for name in self.changed_data}
        secret = changed.pop("secret", "").strip()
        breaker = {
            name: changed.pop(field) for name, field in _BREAKER_FIELDS.items() if field in changed
        }
        testing = {
            name: changed.pop(field) for name, field in _TESTING_FIELDS.items() if field in changed
        }
        self.take_conditions(changed)
        fields = settings_of(changed)
        if breaker:
            fields["breaker"] = breaker
        if testing:
            fields["testing"] = testing
        if self.moves:
            fields["keys"] = [secret] if secret else []
        return fields

    def clean(self) -> dict[str, Any]:
        if "secret" in self.changed_data and not self.moves:
            text = gettext("The address does not change. Add this key under Keys instead.")
            self.add_error("secret", text)
        return dict(self.cleaned_data)

    def changes(self) -> list[Change]:
        """Return what would change, as text. A key is only reported as set."""
        return [
            Change(str(self.fields[name].label), self._text(name, self.initial.get(name)),
                   self._text(name, self.cleaned_data.get(name)))
            for name in self.changed_data
        ]  # fmt: skip

    def _text(self, name: str, value: Any) -> str:
        if name in ("secret", "proxy_login"):
            return gettext("Entered") if value else ""
        return text_of(self.fields[name], value)


def settings_of(changed: Mapping[str, Any]) -> ChannelFields:
    """Return the fields for a write from the form's plain fields, amounts and timeouts."""
    fields = {
        f"{name}_nano" if name in AMOUNT_NAMES else name: value
        for name, value in changed.items()
        if name not in TIMEOUTS
    }
    timeouts = {name: changed[name] for name in TIMEOUTS if name in changed}
    return cast(ChannelFields, {**fields, **({"timeouts": timeouts} if timeouts else {})})


def text_of(field: forms.Field, value: Any) -> str:
    """Return the value of a field as text, "" for none. A secret is not shown."""
    if isinstance(field, PemField):
        return gettext("Entered") if value else ""
    if isinstance(field, forms.BooleanField):
        return gettext("Yes") if value else gettext("No")
    if isinstance(field, forms.MultipleChoiceField):
        words = dict(FEATURE_WORDS)
        return join_words(words[one] for one in value or ())
    if isinstance(field, forms.ChoiceField):
        return str(dict(field.choices).get(value, value))  # type: ignore[arg-type]
    if isinstance(field, LabelsField):
        return join_labels(value or ())
    if isinstance(field, RulesField):
        return rules_text(read_rules(value or ()))
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(field, AmountField) and value is not None:
        return format_usd(value)
    return "" if value is None else str(value)


_ADDRESS: Final = frozenset({"provider", "base_url", "proxy_url", "ca_bundle"})
_BREAKER_FIELDS: Final = {
    "enabled": "breaker_enabled",
    "failures": "failures",
    "window": "window",
    "open_for": "open_for",
}


_TESTING_FIELDS: Final = {
    "every_min": "test_every",
    "model": "test_model",
    "variant": "test_variant",
    "on_key": "out_on_key",
    "statuses": "out_on_statuses",
    "words": "out_on_words",
    "success_percent": "out_below",
}


def settings_values(channel: Channel) -> dict[str, Any]:
    parts = parts_of(channel)
    return {
        **{name: getattr(channel, name) for name in SETTINGS},
        **{name: getattr(channel, f"{name}_nano") for name in AMOUNT_NAMES},
        **form_values(channel),
        "pass_through": parts["pass_through"],
        **parts["timeouts"],
        **{field: parts["breaker"][name] for name, field in _BREAKER_FIELDS.items()},
        **{field: parts["testing"][name] for name, field in _TESTING_FIELDS.items()},
    }


class KeyForm(forms.Form):
    """One more key of a channel."""

    secret = forms.CharField(
        label=_("API key"),
        max_length=bounds.SECRET_MAX,
        widget=forms.PasswordInput(attrs={**CODE, "autocomplete": "new-password"}),
    )


class CopyForm(forms.Form):
    """The name of a copy."""

    name = forms.CharField(
        label=_("Name"), max_length=bounds.NAME_MAX, widget=forms.TextInput(attrs=INPUT)
    )
