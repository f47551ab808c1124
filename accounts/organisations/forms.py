"""Forms of organisations, teams and projects."""

from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy

from accounts.access import access
from accounts.limits.data_policy import CLIENT_ADDRESS_DAYS_MAX
from accounts.limits.forms import (
    CachingForm,
    data_regions_field,
    required_labels_field,
    zero_retention_field,
)
from accounts.models import Role
from accounts.names.forms import NameForm
from accounts.names.names import NAME_MAX
from accounts.organisations.organisations import REASON_MAX
from lib.forms.picker import split_words
from lib.numbers.whole_numbers import WholeNumberField


class TeamForm(CachingForm, NameForm):
    """A team, as its admins change it."""

    field_order = ("name",)
    required_labels = required_labels_field()


class ProjectForm(NameForm):
    """A project. `teams` are the slugs of the teams that it can be in."""

    team = forms.ChoiceField(label=gettext_lazy("Team"))

    def __init__(self, *args: Any, teams: Iterable[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["team"]).choices = list(teams)


class OrganisationForm(NameForm):
    """Settings of an organisation for its owners. `roles` are those that can require a second
    factor, or None if the actor may not change them."""

    include_cost = forms.BooleanField(
        label=gettext_lazy("Include the cost in responses"),
        required=False,
        help_text=gettext_lazy("A request can override this."),
    )
    retention_hours = WholeNumberField(
        label=gettext_lazy("Response retention (hours)"),
        min_value=0,
        max_value=24,
        help_text=gettext_lazy(
            "From 0 to 24; 0 turns it off. Kept encrypted so that later requests can continue or "
            "repeat them."
        ),
    )
    client_address_days = WholeNumberField(
        label=gettext_lazy("Keep client IP addresses for (days)"),
        min_value=0,
        max_value=CLIENT_ADDRESS_DAYS_MAX,
        help_text=gettext_lazy(
            "From 0 to 365. The address of a request is shown to those who may change its key or "
            "read the audit log. 0 keeps none."
        ),
    )
    zero_retention = zero_retention_field()
    data_regions = data_regions_field()
    required_labels = required_labels_field()
    display_currency = forms.CharField(
        label=gettext_lazy("Also show amounts in"),
        max_length=3,
        required=False,
        help_text=gettext_lazy(
            "A currency code such as EUR. Charges stay in USD; totals show the converted amount "
            "beside them, with the rate and its day."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off", "class": "mono"}),
    )
    second_factor_roles = forms.MultipleChoiceField(
        label=gettext_lazy("Require two-factor authentication for"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("They are prompted at their next sign-in."),
    )

    def __init__(self, *args: Any, roles: Iterable[tuple[str, Any]] | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(regions := self.initial.get("data_regions"), list):
            self.initial["data_regions"] = " ".join(regions)
        if roles is None:
            del self.fields["second_factor_roles"]
            return
        factor = cast(forms.MultipleChoiceField, self.fields["second_factor_roles"])
        factor.choices = list(roles)

    def clean_data_regions(self) -> list[str]:
        return split_words(self.cleaned_data["data_regions"])


class NewOrganisationForm(forms.Form):
    """An organisation that an operator creates."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=NAME_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )
    owner = forms.EmailField(
        label=gettext_lazy("Email of the owner"),
        max_length=254,
        required=False,
        help_text=gettext_lazy(
            "They need an account. Leave it empty to own the organisation yourself, then invite "
            "its members."
        ),
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )


class NewMemberForm(forms.Form):
    """A person whom an operator adds to an organisation without an invitation."""

    email = forms.EmailField(
        label=gettext_lazy("Email"),
        max_length=254,
        help_text=gettext_lazy("An account is created for an unknown address."),
        widget=forms.EmailInput(attrs={"autocomplete": "off", "autofocus": True}),
    )
    role = forms.ChoiceField(
        label=gettext_lazy("Role"),
        initial=Role.OWNER,
        choices=[(role.value, access.ROLE_NAMES[role.value]) for role in Role if role != "custom"],
    )


class SuspensionForm(forms.Form):
    """The reason for suspending an organisation."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=REASON_MAX,
        help_text=gettext_lazy("Members see it on every page."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )
