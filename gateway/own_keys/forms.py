"""Forms of own provider keys, and of the offers that operators make."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from django import forms
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext_lazy as _

from accounts.models import Organisation
from accounts.organisations.choices import pick_organisation
from billing.currency.forms import MoneyField
from billing.currency.money import format_usd
from billing.prices.own_key_fee import OwnKeyFee
from gateway.channels import bounds
from gateway.models import OwnKey, OwnKeyOffer
from gateway.own_keys import offers, own_keys
from lib.forms.picker import split_words

_INPUT: Final = {"class": "input", "autocomplete": "off"}
_FALL_BACK: Final = _("Fall back to the installation's channels")
_FALL_BACK_HELP: Final = _(
    "When this key cannot serve a request, it is sent with the installation's key, at the prices"
    " below."
)


class SecretForm(forms.Form):
    """A provider's key."""

    secret = forms.CharField(
        label=_("API key"),
        max_length=bounds.SECRET_MAX,
        help_text=_("From your account at the provider. It is encrypted and not shown again."),
        widget=forms.PasswordInput(attrs={**_INPUT, "autocomplete": "new-password"}),
    )


class OwnKeyForm(SecretForm):
    """A key to be added. `offered` and `holders` are the values and texts to choose from."""

    field_order = ("offer", "team", "name", "secret")

    offer = forms.ChoiceField(label=_("Provider"))
    team = forms.ChoiceField(label=_("Used by"), required=False)
    name = forms.CharField(
        label=_("Name"),
        max_length=own_keys.NAME_MAX,
        required=False,
        help_text=_("Leave empty to use the provider's name."),
        widget=forms.TextInput(attrs=_INPUT),
    )

    def __init__(
        self,
        *args: Any,
        offered: Iterable[tuple[str, str]],
        holders: Iterable[tuple[str, str]],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["offer"]).choices = list(offered)
        cast(forms.ChoiceField, self.fields["team"]).choices = list(holders)


class OwnKeyEditForm(forms.Form):
    """What may be changed of a key besides its secret."""

    name = forms.CharField(
        label=_("Name"), max_length=own_keys.NAME_MAX, widget=forms.TextInput(attrs=_INPUT)
    )
    enabled = forms.BooleanField(
        label=_("Enabled"),
        required=False,
        help_text=_(
            "While it is disabled, requests use the installation's channels, at the prices below."
        ),
    )
    fall_back = forms.BooleanField(label=_FALL_BACK, required=False, help_text=_FALL_BACK_HELP)

    def __init__(self, key: OwnKey, data: Any = None) -> None:
        initial = {"name": key.name, "enabled": key.enabled, "fall_back": key.fall_back}
        super().__init__(data, initial=initial)


class OfferForm(forms.Form):
    """Who may use a channel with their own keys, and what that costs."""

    title = forms.CharField(
        label=_("Title"),
        max_length=offers.TITLE_MAX,
        required=False,
        help_text=_("What organisations see instead of the channel's name."),
        widget=forms.TextInput(attrs=_INPUT),
    )
    who = forms.ChoiceField(
        label=_("Who may use it"),
        choices=[("everyone", _("Every organisation")), ("chosen", _("Chosen organisations"))],
    )
    organisations = forms.CharField(
        label=_("Chosen organisations"),
        required=False,
        max_length=offers.ORGANISATIONS_MAX * 61,
        widget=pick_organisation(many=True),
    )
    request = MoneyField(
        label=_("Fee per request (USD)"),
        required=False,
        help_text=gettext_lazy("Leave both empty, and it is free."),
    )
    million = MoneyField(label=_("Fee per million tokens (USD)"), required=False)

    def __init__(self, offer: OwnKeyOffer | None, label: str, data: Any = None) -> None:
        initial: dict[str, Any] = {"title": label, "who": "chosen"}
        if offer is not None:
            fee = offers.fee_of(offer)
            initial = {
                "title": offer.title,
                "who": "everyone" if offer.everyone else "chosen",
                "organisations": ", ".join(sorted(one.slug for one in offer.organisations.all())),
                "request": format_usd(fee.request_nano) if fee.request_nano else "",
                "million": format_usd(fee.million_nano) if fee.million_nano else "",
            }
        super().__init__(data, initial=initial)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("request") and cleaned.get("million"):
            text = gettext("Set a fee for each request or for each million tokens, not both.")
            self.add_error("million", text)
        return cleaned

    @property
    def everyone(self) -> bool:
        return bool(self.cleaned_data["who"] == "everyone")

    def chosen(self) -> Sequence[Organisation]:
        """Return the chosen organisations. Raises OfferRefused for an unknown one."""
        slugs = split_words(self.cleaned_data["organisations"])
        return [] if self.everyone else offers.named_organisations(slugs)

    def fee(self) -> OwnKeyFee:
        return OwnKeyFee(self.cleaned_data["request"] or 0, self.cleaned_data["million"] or 0)
