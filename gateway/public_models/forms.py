"""Forms of the models console: a model's entry, and its probe."""

from collections.abc import Sequence
from typing import Any, Final, cast

from django import forms
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext_lazy as _

from accounts.access.access import ROLE_NAMES
from billing.models import Plan
from gateway.channels import bounds as bounds
from gateway.channels.channel_tests.words import VARIANT_NAMES
from gateway.listed_models.public_models import PublicModel
from gateway.listed_models.shown_models import CAPABILITY_WORDS
from gateway.model_entries.entries import EntryFields
from gateway.model_entries.rules import ROLES
from gateway.models import ModelEntry
from gateway.providers.overrides import CAPABILITIES
from gateway.public_models.probes import TRIES, Try
from lib.forms.date_and_file_fields import MomentInput
from lib.numbers.whole_numbers import WholeNumberField

_CODE: Final = {"class": "input mono", "autocomplete": "off", "spellcheck": "false"}
ALIASES_MAX: Final = 10_000
_STATES: Final = [("", _("Use catalogue default")), ("on", _("On")), ("off", _("Off"))]


def _moment(label: Any, hint: Any) -> forms.DateTimeField:
    return forms.DateTimeField(label=label, help_text=hint, required=False, widget=MomentInput())


def _tokens(label: Any) -> WholeNumberField:
    return WholeNumberField(
        label=label,
        help_text=_("Tokens. Leave empty to use the catalogue default."),
        required=False,
        widget=forms.NumberInput(attrs={"class": "input", "min": 1}),
    )


class EntryForm(forms.Form):
    """What an operator states about a model. The plans of its entry are choices even if they were
    deleted, since without them the model would be shown to everybody."""

    aliases = forms.CharField(
        label=_("Aliases"),
        help_text=_("Other names for this model, one per line."),
        max_length=ALIASES_MAX,
        required=False,
        widget=forms.Textarea(attrs={**_CODE, "rows": 2}),
    )
    context_max = _tokens(_("Context"))
    output_max = _tokens(_("Max output"))
    deprecated_at = _moment(
        _("Deprecated from"), _("UTC. From then on, answers carry the Deprecation header.")
    )
    sunset_at = _moment(_("Retired from"), _("UTC. Announced in the Sunset header until then."))
    replacement = forms.CharField(
        label=_("Replacement"),
        help_text=_("The model to use instead."),
        max_length=bounds.MODEL_MAX,
        required=False,
        widget=forms.TextInput(attrs=_CODE),
    )
    forwards = forms.ChoiceField(
        label=_("Requests after retirement"),
        choices=[
            ("", _("Reject, and name the replacement")),
            ("on", _("Forward to the replacement, at its price")),
        ],
        required=False,
        widget=forms.Select(attrs={"class": "input"}),
    )
    plans = forms.MultipleChoiceField(
        label=_("Price plans"),
        help_text=_("None selected: all plans, and organisations without one."),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    roles = forms.MultipleChoiceField(
        label=_("Roles"),
        help_text=_("None selected: everyone. Keys that belong to no one have no role."),
        choices=[(role, str(ROLE_NAMES[role]).capitalize()) for role in ROLES],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(
        self, data: Any = None, *, entry: ModelEntry | None, initial: dict[str, Any] | None = None
    ) -> None:
        super().__init__(data, initial=initial)
        names = [*Plan.objects.order_by("name").values_list("name", flat=True)]
        deleted = sorted({*entry.plans} - {*names}) if entry else []
        plans = cast(forms.MultipleChoiceField, self.fields["plans"])
        plans.choices = [(name, name) for name in names] + [
            (name, gettext("%(name)s (deleted)") % {"name": name}) for name in deleted
        ]
        for name in CAPABILITIES:
            self.fields[f"can_{name}"] = forms.ChoiceField(
                label=str(CAPABILITY_WORDS[name]),
                choices=_STATES,
                required=False,
                widget=forms.Select(attrs={"class": "input"}),
            )

    @property
    def capabilities(self) -> list[forms.BoundField]:
        """The fields of capabilities."""
        return [self[f"can_{name}"] for name in CAPABILITIES]

    def entry_fields(self) -> EntryFields:
        """Return the fields in the form that `save_entry` takes."""
        sent = self.cleaned_data
        plain = ("context_max", "output_max", "deprecated_at", "sunset_at", "replacement")
        fields = {name: sent[name] for name in (*plain, "plans", "roles")}
        fields["forwards"] = sent["forwards"] == "on"
        fields["can"] = {
            name: state == "on" for name in CAPABILITIES if (state := sent[f"can_{name}"])
        }
        return cast(EntryFields, fields)

    def alias_names(self) -> list[str]:
        """Return the names that should be aliases of the model."""
        return str(self.cleaned_data["aliases"]).split()


def initial_of(entry: ModelEntry | None, aliases: Sequence[str]) -> dict[str, Any]:
    """Return the initial values of a model's form."""
    initial: dict[str, Any] = {"aliases": "\n".join(aliases)}
    if entry is None:
        return initial
    plain = ("context_max", "output_max", "deprecated_at", "sunset_at", "replacement")
    initial |= {name: getattr(entry, name) for name in (*plain, "plans", "roles")}
    initial["forwards"] = "on" if entry.forwards else ""
    initial |= {f"can_{name}": "on" if on else "off" for name, on in entry.can.items()}
    return initial


class ProbeForm(forms.Form):
    """The channel and the features for a probe of a model."""

    channel = forms.ChoiceField(
        label=gettext_lazy("Channel"), widget=forms.Select(attrs={"class": "input"})
    )
    tries = forms.MultipleChoiceField(
        label=gettext_lazy("Try"),
        choices=[(name, VARIANT_NAMES[name]) for name in TRIES],
        widget=forms.CheckboxSelectMultiple,
        initial=list(TRIES),
    )

    def __init__(self, model: PublicModel, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast(forms.ChoiceField, self.fields["channel"])
        field.choices = [(server.id, server.channel.name) for server in model.servers]

    def tries_chosen(self) -> list[Try]:
        """Return what to probe."""
        return list(self.cleaned_data["tries"])
