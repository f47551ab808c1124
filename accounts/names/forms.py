"""A form with a name."""

from django import forms
from django.utils.translation import gettext_lazy

from accounts.names.names import NAME_MAX


class NameForm(forms.Form):
    """A form with one name."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=NAME_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )
