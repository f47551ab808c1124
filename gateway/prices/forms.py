"""Read the price editor's rows of meter, tier and rate into the stored form."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast
from uuid import UUID

from django import forms
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.translation import gettext, gettext_lazy

from accounts.access.actors import Actor
from accounts.models import Organisation
from accounts.organisations.choices import pick_holder, pick_organisation
from billing.currency.money import MoneyInvalid, format_multiplier, parse_multiplier
from billing.price_plans.price_plans import Holder
from billing.prices.conditions import PriceKey
from billing.prices.forms import MarkupField
from billing.prices.meters import (
    MeterUnknown,
    RateInexact,
    format_written_rate,
    parse_written_rate,
)
from billing.prices.pricing import PPM, PriceVersion
from billing.prices.words import (
    METER_GROUPS,
    condition_kind_name,
    display_rates,
    per_unit,
    rate_name,
)
from dialects.usage.price_conditions import KINDS, OF_VERSIONS, VALUE
from gateway.listed_models.model_fields import (
    ModelsField,
    offer_installation_models,
    pick_any_channel,
    pick_any_model,
)
from gateway.prices.previews import DAYS
from lib.ids import parse_id

_NEW: Final = ("in_text", "in_cache_read", "out_text")
_ROWS_MAX: Final = 100


@dataclass(slots=True)
class RateRow:
    """A row of the editor as typed. `error` says what is wrong with it."""

    meter: str = ""
    over: str = ""
    rate: str = ""
    error: str = ""
    # Added now: its field takes the focus.
    added: bool = False

    @property
    def blank(self) -> bool:
        return not self.rate.strip()

    @property
    def name(self) -> str:
        return rate_name(self.meter)

    @property
    def unit(self) -> str:
        return per_unit(self.meter)


@dataclass(slots=True)
class ConditionRow:
    """One rate under a condition, as typed. Without a meter it multiplies all token rates."""

    kind: str = ""
    value: str = ""
    meter: str = ""
    over: str = ""
    number: str = ""
    error: str = ""
    added: bool = False

    @property
    def blank(self) -> bool:
        return not self.number.strip()

    @property
    def condition(self) -> tuple[str, str]:
        return self.kind, self.value

    @property
    def typed(self) -> tuple[str, ...]:
        """Return the row's values without its error."""
        return self.kind, self.value, self.meter, self.over, self.number.strip()


@dataclass(slots=True)
class PriceEdit:
    """A new version of a price while it is edited."""

    key: PriceKey
    rows: list[RateRow]
    mode: str = "whole"
    valid_from: str = ""
    note: str = ""
    errors: list[str] = field(default_factory=list)
    condition_rows: list[ConditionRow] = field(default_factory=list)
    # The initial conditions in the stored form. If nobody changes them, values without a row are
    # kept (where they are published, the range of their tiers).
    conditions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def problems(self) -> bool:
        noted = [*(row.error for row in self.rows), *(row.error for row in self.condition_rows)]
        return bool(self.errors) or any(noted)

    def add_row(self, what: str) -> None:
        """Add an empty row at the end: of a `meter`, or of a `condition`."""
        if what == "condition" and len(self.condition_rows) < _ROWS_MAX:
            self.condition_rows.append(ConditionRow(added=True))
        elif what == "meter" and len(self.rows) < _ROWS_MAX:
            self.rows.append(RateRow(added=True))

    def stored(self) -> dict[str, Any]:
        """Return the rates as billing's prices store them. An invalid row gets an error and is left
        out."""
        base: dict[str, int] = {}
        tiers: dict[int, dict[str, int]] = {}
        for row in self.rows:
            if row.blank:
                continue
            try:
                over = _threshold(row.over)
                rate = parse_written_rate(row.meter, row.rate.strip())
            except (MeterUnknown, MoneyInvalid, ValueError) as error:
                row.error = _error_text(error)
                continue
            rates = base if over is None else tiers.setdefault(over, {})
            if row.meter in rates:
                row.error = gettext("This rate is listed twice.")
            rates[row.meter] = rate
        if not base:
            self.errors.append(gettext("Enter at least one rate without a tier."))
        stored: dict[str, Any] = {"meters": base}
        if tiers:
            stored["tiers"] = [
                {"input_over": over, "mode": self.mode, "meters": rates}
                for over, rates in sorted(tiers.items())
            ]
        conditions = self._stored_conditions()
        if conditions:
            stored["conditions"] = conditions
        return stored

    def _stored_conditions(self) -> list[dict[str, Any]]:
        """Return the conditions of the rows in order. Unchanged ones stay as they were."""
        by_condition: dict[tuple[str, str], list[ConditionRow]] = {}
        for row in self.condition_rows:
            if not row.blank:
                by_condition.setdefault(row.condition, []).append(row)
        before = {(one["kind"], one["value"]): one for one in self.conditions}
        stored = []
        for condition, rows in by_condition.items():
            one = before.get(condition)
            if one is not None and _condition_texts(rows) == _condition_texts(_condition_rows(one)):
                stored.append(one)
                continue
            tiers = (one or {}).get("tiers") or [{}]
            stored.append(_read_condition(condition, rows, tiers[0].get("mode", self.mode)))
        return stored

    @property
    def conditions_text(self) -> str:
        """The conditions as text for a hidden form field."""
        return json.dumps(self.conditions) if self.conditions else ""

    def begins_at(self) -> dt.datetime | None:
        """Return the start of the version (UTC), or None for its publication."""
        if not self.valid_from:
            return None
        try:
            at = dt.datetime.fromisoformat(self.valid_from)
        except ValueError:
            self.errors.append(gettext("The start must be a date and time."))
            return None
        return at.replace(tzinfo=dt.UTC)


def edit_of(key: PriceKey, rates: Mapping[str, Any] | None) -> PriceEdit:
    """Return the editor with the rates of a price, or with empty rows for the usual meters."""
    rows = []
    for rate in display_rates(rates) if rates else ():
        over = "" if rate.input_over is None else str(rate.input_over)
        rows.append(RateRow(rate.meter, over, format_written_rate(rate.meter, rate.rate)))
    if not rows:
        rows = [RateRow(meter) for meter in _NEW]
    tiers = (rates or {}).get("tiers") or [{}]
    edit = PriceEdit(key, rows, tiers[0].get("mode", "whole"))
    edit.conditions = list((rates or {}).get("conditions") or [])
    for one in edit.conditions:
        edit.condition_rows += _condition_rows(one)
    return edit


def edit_from(sent: QueryDict) -> PriceEdit:
    """Return the editor from the submitted form."""
    rows = [
        RateRow(meter.strip(), over.strip(), rate)
        for meter, over, rate in zip(
            sent.getlist("meter")[:_ROWS_MAX],
            sent.getlist("over"),
            sent.getlist("rate"),
            strict=False,
        )
    ]
    words = {name: _sent_text(sent, name)[:200] for name in PriceKey._fields}
    words["kind"] = "cost" if words["kind"] == "cost" else "charge"
    edit = PriceEdit(
        PriceKey(**words),
        rows,
        "marginal" if sent.get("mode") == "marginal" else "whole",
        sent.get("valid_from", ""),
        _sent_text(sent, "note")[:500],
    )
    edit.condition_rows = [
        _condition_row(typed)
        for typed in zip(
            sent.getlist("condition_kind")[:_ROWS_MAX],
            sent.getlist("condition_value"),
            sent.getlist("condition_meter"),
            sent.getlist("condition_over"),
            sent.getlist("condition_number"),
            strict=False,
        )
    ]
    edit.conditions = _sent_conditions(sent.get("conditions", ""), edit)
    if not edit.key.model:
        edit.errors.append(gettext("Enter a model name, or a pattern such as gpt-5*."))
    return edit


def _condition_row(typed: Sequence[str]) -> ConditionRow:
    kind, value, meter, over, number = (text.replace("\x00", "").strip() for text in typed)
    return ConditionRow(kind, value, meter, over, number)


def _sent_conditions(text: str, edit: PriceEdit) -> list[dict[str, Any]]:
    """Parse the conditions in the hidden form field."""
    if not text:
        return []
    try:
        conditions = json.loads(text)
        PriceVersion.from_stored({"meters": {}, "conditions": conditions})
    except (ValueError, MeterUnknown):
        edit.errors.append(gettext("The conditions could not be read. Reload the page."))
        return []
    kept: list[dict[str, Any]] = conditions
    return kept


def _condition_rows(one: Mapping[str, Any]) -> list[ConditionRow]:
    """Return the rows of a stored condition. A condition that replaces no rate multiplies rates by
    1."""
    kind, value = one["kind"], one["value"]
    rates = display_rates(one) if "meters" in one else []
    if not rates:
        multiplier_ppm = one.get("multiplier_ppm", PPM)
        return [ConditionRow(kind, value, number=format_multiplier(multiplier_ppm))]
    return [
        ConditionRow(
            kind,
            value,
            rate.meter,
            "" if rate.input_over is None else str(rate.input_over),
            format_written_rate(rate.meter, rate.rate),
        )
        for rate in rates
    ]


def _condition_texts(rows: Iterable[ConditionRow]) -> list[tuple[str, ...]]:
    return sorted(row.typed for row in rows)


def _read_condition(
    condition: tuple[str, str], rows: Sequence[ConditionRow], mode: str
) -> dict[str, Any]:
    """Return a condition in the stored form. An invalid row gets an error."""
    kind, value = condition
    meters: dict[str, int] = {}
    tiers: dict[int, dict[str, int]] = {}
    multiplier_ppm = None
    for row in rows:
        row.error = _condition_error(kind, value)
        if row.error:
            continue
        try:
            over = _threshold(row.over)
            if row.meter:
                rate = parse_written_rate(row.meter, row.number)
                rates = meters if over is None else tiers.setdefault(over, {})
                if row.meter in rates:
                    row.error = gettext("This rate is listed twice.")
                rates[row.meter] = rate
            elif over is not None:
                row.error = gettext("A multiplier applies to all tokens, without a tier.")
            elif len(rows) > 1:
                row.error = gettext(
                    "A condition either has one multiplier or replaces rates. Remove one of them."
                )
            else:
                multiplier_ppm = parse_multiplier(row.number)
        except (MeterUnknown, MoneyInvalid, ValueError) as error:
            row.error = _error_text(error) if row.meter else multiplier_error()
    if multiplier_ppm is not None:
        return {"kind": kind, "value": value, "multiplier_ppm": multiplier_ppm}
    stored: dict[str, Any] = {"kind": kind, "value": value, "meters": meters}
    if tiers:
        stored["tiers"] = [
            {"input_over": over, "mode": mode, "meters": rates}
            for over, rates in sorted(tiers.items())
        ]
    return stored


def _condition_error(kind: str, value: str) -> str:
    if kind not in OF_VERSIONS:
        return gettext("Choose what the condition is about.")
    if not VALUE.fullmatch(value):
        return gettext("Enter a value as the request or the answer says it, such as fast or us.")
    if value in KINDS[kind].plain:
        return gettext("%(value)s is the standard, whose rates are above.") % {"value": value}
    return ""


def condition_kinds() -> list[tuple[str, str]]:
    """Return the kinds of conditions with their labels."""
    return [(kind, condition_kind_name(kind)) for kind in OF_VERSIONS]


def condition_values() -> list[str]:
    """Return the values of conditions that are known to have separate prices."""
    return sorted({value for kind in OF_VERSIONS for value in KINDS[kind].known})


def multiplier_error() -> str:
    """Return the error message for an invalid multiplier."""
    return gettext("Enter a number from 0 to 1000, such as 1.07.")


def _sent_text(sent: QueryDict, name: str) -> str:
    return str(sent.get(name, "")).replace("\x00", "").strip()


MeterChoices = list[tuple[str, list[tuple[str, str]]]]


def meter_choices(rows: Sequence[RateRow | ConditionRow]) -> MeterChoices:
    """Return every meter with the unit of its rate, by group, and the meter variants in the
    rows."""
    variants = dict.fromkeys(row.meter for row in rows if "[" in row.meter)
    return [
        (
            str(group),
            [
                (name, f"{rate_name(name)} · {per_unit(name)}")
                for plain in names
                for name in (plain, *(one for one in variants if one.partition("[")[0] == plain))
            ],
        )
        for group, names in METER_GROUPS
    ]


def _threshold(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise ValueError(gettext("A tier's threshold must be a whole number of input tokens."))
    return int(text)


def _error_text(error: Exception) -> str:
    if isinstance(error, MoneyInvalid):
        return gettext("Enter a rate of 0 or more, such as 0.15, with up to 9 decimal places.")
    if isinstance(error, MeterUnknown):
        return gettext("Choose a meter.")
    if isinstance(error, RateInexact):
        text = gettext("Time is billed by the millisecond. The nearest exact price is %(rate)s.")
        return text % {"rate": error.nearest}
    return str(error)


class PriceKeyForm(forms.Form):
    """What a new price is for, in the form that `edit_from` reads."""

    model = forms.CharField(
        label=gettext_lazy("Model or pattern"),
        max_length=200,
        widget=forms.TextInput(attrs={"autofocus": True}),
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("Type"),
        choices=[
            ("charge", gettext_lazy("Customer price")),
            ("cost", gettext_lazy("Your cost")),
        ],
    )
    channel = forms.CharField(
        label=gettext_lazy("Channel"),
        required=False,
        help_text=gettext_lazy("For your cost, if it differs by channel."),
    )
    service_tier = forms.CharField(
        label=gettext_lazy("Service tier"),
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"class": "input mono", "placeholder": "flex"}),
    )
    hours = forms.CharField(
        label=gettext_lazy("Hours (UTC)"),
        max_length=11,
        required=False,
        widget=forms.TextInput(attrs={"class": "input mono", "placeholder": "16:30-00:30"}),
    )
    region = forms.CharField(
        label=gettext_lazy("Region"),
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"class": "input mono"}),
        help_text=gettext_lazy("Where the provider serves the request, if that has its own price."),
    )

    def __init__(self, actor: Actor, key: PriceKey) -> None:
        super().__init__(initial=key._asdict())
        pick_any_model(self.fields["model"])
        pick_any_channel(self.fields["channel"], actor)


class DaysForm(forms.Form):
    """How many days of usage a preview covers."""

    days = forms.TypedChoiceField(
        label=gettext_lazy("Usage of the last"),
        coerce=int,
        choices=lambda: [(days, gettext("%(n)s days") % {"n": days}) for days in DAYS],
        initial=30,
    )


class PricePlanForm(forms.Form):
    """A plan: its markup on list prices, and its visible models."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=120)
    markup = MarkupField(
        initial="0",
        help_text=gettext_lazy(
            "What is added to list prices, in percent; a negative number takes off."
        ),
    )
    models = ModelsField(
        label=gettext_lazy("Visible models"),
        required=False,
        help_text=gettext_lazy("Names, or patterns such as gpt-5*. Leave empty for all models."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_installation_models(self.fields["models"])


class PricePlanHolderForm(forms.Form):
    """Assigns an organisation, a team or a member to a plan."""

    slug = forms.ModelChoiceField(
        Organisation.objects.none(),
        label=gettext_lazy("Organisation"),
        to_field_name="slug",
        widget=pick_organisation(),
        error_messages={"invalid_choice": gettext_lazy("No organisation has this name.")},
    )
    who = forms.CharField(
        label=gettext_lazy("Team or person"),
        required=False,
        max_length=254,
        help_text=gettext_lazy(
            "A team by its slug or a member by email address. Leave empty for the whole "
            "organisation."
        ),
        widget=pick_holder(),
    )

    def __init__(self, *args: Any, organisations: QuerySet[Organisation], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast("forms.ModelChoiceField[Organisation]", self.fields["slug"]).queryset = organisations

    def clean(self) -> dict[str, Any]:
        sent = super().clean() or {}
        organisation, who = sent.get("slug"), sent.get("who", "")
        if organisation is not None:
            sent["holder"] = _holder(organisation, who)
            if sent["holder"] is None:
                text = gettext("%(organisation)s has no team or member %(who)s.")
                self.add_error("who", text % {"organisation": organisation.name, "who": who})
        return sent


def _holder(organisation: Organisation, who: str) -> Holder | None:
    if not who:
        return organisation
    if "@" in who:
        return organisation.memberships.filter(user__email__iexact=who).first()
    return organisation.teams.filter(slug=who).first()


def read_ids(texts: Sequence[str]) -> list[UUID]:
    """Return the valid ids among submitted texts."""
    parsed = (parse_id(text) for text in texts)
    return [id for id in parsed if id is not None]
