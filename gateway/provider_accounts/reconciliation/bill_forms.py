"""The forms of reconciliation."""

from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.currency.forms import MoneyField
from gateway.models import Channel
from gateway.providers import PROVIDERS
from lib.forms.date_and_file_fields import DateInput, FileInput
from lib.ids import id_text
from usage.margin.provider_bill_lines import BILL_BYTES_MAX
from usage.margin.provider_bills import NOTE_MAX
from usage.models import BillMatch

_HEAD: dict[str, Any] = {"max_length": 120, "required": False}


class BillForm(forms.Form):
    """A provider's bill, and the meaning of its columns."""

    provider = forms.ChoiceField(label=_("Provider"))
    channels = forms.MultipleChoiceField(
        label=_("Channels"),
        help_text=_("Those that this bill is for."),
        widget=forms.CheckboxSelectMultiple,
    )
    first_on = forms.DateField(label=_("First day (UTC)"), widget=DateInput())
    last_on = forms.DateField(label=_("Last day (UTC)"), widget=DateInput())
    match = forms.ChoiceField(
        label=_("Compare by"),
        choices=BillMatch.choices,
        help_text=_("Request ID: the x-client-request-id that was sent to the provider."),
    )
    request_column = forms.CharField(label=_("Column of the request ID"), **_HEAD)
    day_column = forms.CharField(label=_("Column of the day"), **_HEAD)
    model_column = forms.CharField(label=_("Column of the model"), **_HEAD)
    amount_column = forms.CharField(label=_("Column of the amount (USD)"), max_length=120)
    tolerance = MoneyField(
        label=_("Tolerance (USD)"), help_text=_("Smaller differences are not listed.")
    )
    file = forms.FileField(
        label=_("File"),
        help_text=_("CSV in UTF-8, or XLSX. The first row has the names of the columns."),
        widget=FileInput({"accept": ".csv, .xlsx"}),
    )

    def __init__(self, channels: Iterable[Channel], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        listed = list(channels)
        names = sorted({channel.provider for channel in listed})
        provider = cast(forms.ChoiceField, self.fields["provider"])
        provider.choices = [
            (name, gettext(PROVIDERS[name].label) if name in PROVIDERS else name) for name in names
        ]
        chosen = cast(forms.MultipleChoiceField, self.fields["channels"])
        chosen.choices = [(id_text(channel.id), channel.name) for channel in listed]

    def clean_tolerance(self) -> int:
        nano: int = self.cleaned_data["tolerance"]
        if nano < 0:
            raise forms.ValidationError(gettext("The tolerance cannot be negative."))
        return nano

    def clean_file(self) -> Any:
        sent = self.cleaned_data["file"]
        if sent.size > BILL_BYTES_MAX:
            text = gettext("The file is larger than %(n)s MiB.")
            raise forms.ValidationError(text % {"n": BILL_BYTES_MAX // (1024 * 1024)})
        return sent

    def clean(self) -> dict[str, Any]:
        sent = super().clean() or {}
        needed = (
            ("request_column",)
            if sent.get("match") == "request"
            else ("day_column", "model_column")
        )
        for field in needed:
            if not sent.get(field) and field not in self.errors:
                self.add_error(field, gettext("Enter the name of this column."))
        return sent


class NoteForm(forms.Form):
    """A note on the cause of a difference."""

    note = forms.CharField(
        label=_("Note"), max_length=NOTE_MAX, widget=forms.Textarea(attrs={"rows": 3})
    )
