"""Pages of the rules and aliases of models, which apply to all channels, and of shadow traffic:
figures of the last day, and the single comparisons (W72)."""

from collections.abc import Mapping
from typing import Any, Final, cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.preferences.table_preferences import read_table
from billing.currency.forms import MoneyField
from billing.currency.money import format_usd
from billing.limits.charge_rule import read_rule
from billing.limits.charge_rule_forms import ChargeRuleForm
from billing.limits.words import charge_rule_words
from gateway.access import (
    access_alias,
    access_rule,
    visible_aliases,
    visible_rules,
    visible_shadow_answers,
)
from gateway.aliases.aliases import remove_alias, save_alias
from gateway.aliases.rules import resolve_aliases
from gateway.channels import bounds as bounds
from gateway.listed_models.model_choices import installation_names
from gateway.listed_models.model_fields import (
    ModelsField,
    offer_installation_models,
    pick_any_channel,
    pick_any_model,
)
from gateway.models import ModelRule, ShadowAnswer
from gateway.routing.model_rule_bounds import FAILURES
from gateway.routing.model_rules import RuleFields, facts_of, remove_rule, save_rule
from gateway.routing.shadow_answers import shadow_figures, spent_today
from gateway.routing.shadow_rules import NAME_MAX, STOPPED, read_shadow
from lib.forms.picker import split_words
from lib.htmx import redirect_to, render_dialog, see_other
from lib.ids import id_text
from lib.numbers.whole_numbers import WholeNumberField
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Badge, Column, Filter, Table

_CODE: Final = {"class": "input mono", "autocomplete": "off", "spellcheck": "false"}
CAUSE_WORDS: Final[Mapping[str, Promise]] = {
    "error": _("No channel can serve it, or all of them failed"),
    "context_length": _("The request is too long for the model"),
    "content_policy": _("The provider blocks the content"),
    "budget": _("A budget is used up"),
}
"""Display texts of when other models answer in place of one."""
_PICK_WORDS: Final[Mapping[str, Promise]] = {
    "weight": _("Weight"),
    "latency": _("Lowest latency"),
    "ttft": _("Lowest time to first token"),
    "throughput": _("Highest throughput"),
    "in_flight": _("Fewest requests in flight"),
    "price": _("Lowest price, cache hits counted"),
    "conversation": _("Same channel for a conversation"),
    "user": _("Same channel for a user"),
}


def _model_name(label: Any, hint: Any = "") -> forms.CharField:
    return forms.CharField(
        label=label,
        help_text=hint,
        max_length=bounds.MODEL_MAX,
        widget=forms.TextInput(attrs=_CODE),
    )


class ModelRuleForm(ChargeRuleForm):
    """A rule for a model or a pattern of names."""

    field_order = ("model", "fallbacks", "causes", "pick", "kind", "seconds", "cost")

    shadow_channel = forms.CharField(
        label=_("Shadow channel"),
        help_text=_("A share of the requests is sent there too. Its answers are only compared."),
        max_length=NAME_MAX,
        required=False,
    )
    shadow_model = forms.CharField(
        label=_("Model on that channel"),
        help_text=_("Defaults to the same name."),
        max_length=NAME_MAX,
        required=False,
        widget=forms.TextInput(attrs=_CODE),
    )
    shadow_percent = WholeNumberField(
        label=_("Share of requests (percent)"), min_value=1, max_value=100, required=False
    )
    shadow_cap = MoneyField(
        label=_("Daily cap (USD)"),
        help_text=_("Paid by you, not by customers."),
        required=False,
    )
    model = _model_name(_("Model"), _("A name, or a pattern such as gpt-*."))
    fallbacks = ModelsField(
        label=_("Fallback models"),
        help_text=_("In this order. Each is charged at its own price."),
        required=False,
    )
    causes = forms.MultipleChoiceField(
        label=_("Use them when"),
        choices=list(CAUSE_WORDS.items()),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    pick = forms.ChoiceField(
        label=_("Choose channels by"),
        choices=list(_PICK_WORDS.items()),
        help_text=_("Among channels of equal priority. A weight of 0 always comes last."),
        widget=forms.Select(attrs={"class": "input"}),
    )

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        pick_any_model(self.fields["model"])
        pick_any_channel(self.fields["shadow_channel"], actor)
        fallbacks = cast(ModelsField, self.fields["fallbacks"])
        offer_installation_models(fallbacks)
        # A rule keeps the name of a model that no longer exists.
        fallbacks.kept = split_words(self.initial.get("fallbacks", ""))

    def model_rule_fields(self) -> RuleFields:
        """Return the fields in the form that `save_rule` takes."""
        sent = self.cleaned_data
        return {
            "fallbacks": sent["fallbacks"],
            "causes": sent["causes"],
            "pick": sent["pick"],
            "charge_rule": self.rule_fields(),
            "shadow": self._shadow_stated(),
        }

    def _shadow_stated(self) -> dict[str, Any]:
        sent = self.cleaned_data
        if not sent["shadow_channel"]:
            return {}
        cap = "" if sent["shadow_cap"] is None else format_usd(sent["shadow_cap"])
        return {
            "channel": sent["shadow_channel"],
            "model": sent["shadow_model"],
            "percent": sent["shadow_percent"],
            "cap": cap,
        }


class AliasForm(forms.Form):
    """An alias and the name that it stands for."""

    name = _model_name(_("Alias"))
    target = _model_name(_("Stands for"), _("A model's name, or another alias."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        pick_any_model(self.fields["target"])


@operator_page("channels.read")
@require_safe
def model_rules(request: HttpRequest, actor: Actor) -> HttpResponse:
    aliases = list(visible_aliases(actor))
    ends = resolve_aliases({alias.name: alias.target for alias in aliases})
    context = {
        "rules": [_rule_row(rule) for rule in visible_rules(actor)],
        "aliases": [{"alias": alias, "end": ends[alias.name]} for alias in aliases],
        "may_write": access.scope_of(actor, "channels.write") is not None,
    }
    return render(request, "gateway/routing/model_rules.html", context)


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def model_rule_add(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    initial = {"causes": sorted(FAILURES), **ChargeRuleForm.initial_of(None)}
    form = ModelRuleForm(actor, request.POST or None, initial=initial)
    if form.is_valid():
        name = form.cleaned_data["model"]
        if visible_rules(actor).filter(model=name).exists():
            form.add_error("model", gettext("There is already a rule for this model."))
        elif _save_rule(actor, name, form):
            messages.success(request, gettext("Saved. The change applies to new requests."))
            _warn_of_unknown(request, name)
            return see_other("model_rules")
    return _rule_page(request, form, gettext("New rule"), gettext("Create rule"))


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def model_rule(request: HttpRequest, actor: Actor, id: int) -> HttpResponseBase:
    stored = access_rule(actor, id)
    form = ModelRuleForm(actor, request.POST or None, initial=_initial(stored))
    form.fields["model"].disabled = True
    if request.method == "POST" and form.is_valid() and _save_rule(actor, stored.model, form):
        messages.success(request, gettext("Saved. The change applies to new requests."))
        return see_other("model_rules")
    return _rule_page(request, form, stored.model, gettext("Save"), stored)


def _rule_page(
    request: HttpRequest,
    form: ModelRuleForm,
    title: str,
    verb: str,
    rule: ModelRule | None = None,
) -> HttpResponse:
    back = reverse("model_rules")
    context = {"form": form, "title": title, "verb": verb, "rule": rule, "back": back}
    status = 422 if form.errors else 200
    return render(request, "gateway/routing/model_rule.html", context, status=status)


@operator_page("channels.write")
@require_POST
def model_rule_remove(request: HttpRequest, actor: Actor, id: int) -> HttpResponseBase:
    remove_rule(actor, access_rule(actor, id))
    messages.success(request, gettext("Rule deleted."))
    return see_other("model_rules")


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def alias_add(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = AliasForm(request.POST or None)
    if form.is_valid():
        if visible_aliases(actor).filter(name=form.cleaned_data["name"]).exists():
            form.add_error("name", gettext("There is already an alias with this name."))
        elif _save_alias(request, actor, form):
            return redirect_to(request, "model_rules")
    return _alias_dialog(request, form, gettext("New alias"))


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def alias(request: HttpRequest, actor: Actor, id: int) -> HttpResponseBase:
    stored = access_alias(actor, id)
    initial = {"name": stored.name, "target": stored.target}
    form = AliasForm(request.POST or None, initial=initial)
    form.fields["name"].disabled = True
    if form.is_valid() and _save_alias(request, actor, form):
        return redirect_to(request, "model_rules")
    return _alias_dialog(request, form, gettext("Edit alias"))


def _save_alias(request: HttpRequest, actor: Actor, form: AliasForm) -> bool:
    try:
        save_alias(actor, **form.cleaned_data)
    except Refused as refused:
        refused.add_to(form)
        return False
    messages.success(request, gettext("Saved. The change applies to new requests."))
    _warn_of_unknown(request, form.cleaned_data["target"])
    return True


def _alias_dialog(request: HttpRequest, form: AliasForm, title: str) -> HttpResponse:
    context = {
        "form": form,
        "title": title,
        "verb": gettext("Save alias"),
        "back": reverse("model_rules"),
        "back_text": gettext("Rules and fallbacks"),
    }
    return render_dialog(
        request, "accounts/organisations/form_dialog.html", context, refused=form.is_bound
    )


@operator_page("channels.write")
@require_POST
def alias_remove(request: HttpRequest, actor: Actor, id: int) -> HttpResponseBase:
    remove_alias(actor, access_alias(actor, id))
    messages.success(request, gettext("Alias deleted."))
    return see_other("model_rules")


def _save_rule(actor: Actor, model: str, form: ModelRuleForm) -> bool:
    try:
        save_rule(actor, model, **form.model_rule_fields())
    except Refused as refused:
        refused.add_to(form)
    return not form.errors


def _warn_of_unknown(request: HttpRequest, name: str) -> None:
    """Warn that no model has this name now. It may be a mistake, or the model may come later."""
    if message := installation_names().refusal([name]):
        messages.warning(request, message)


def _initial(rule: ModelRule) -> dict[str, Any]:
    charged = ChargeRuleForm.initial_of(read_rule(rule.charge_rule))
    return {
        **facts_of(rule),
        **charged,
        **{f"shadow_{name}": value for name, value in rule.shadow.items()},
        "model": rule.model,
        "fallbacks": ", ".join(rule.fallbacks),
    }


def _rule_row(rule: ModelRule) -> dict[str, Any]:
    causes = [CAUSE_WORDS[cause] for cause in rule.causes]
    charged = read_rule(rule.charge_rule)
    return {
        "rule": rule,
        "causes": causes,
        "pick": _PICK_WORDS[rule.pick],
        "charged": "" if charged is None else charge_rule_words(charged),
        "shadow": read_shadow(rule.shadow),
    }


_HOURS: Final = 24
SHADOW_ANSWERS: Final = Table(
    "shadow-answers",
    _("Shadow answers"),
    (
        Column("at", _("Time"), "ago", sort="id", card="last"),
        Column("model", _("Model"), card="title"),
        Column("channel", _("Shadow channel"), card="second"),
        Column("result", _("Result"), "badge", card="first"),
        Column("likeness", _("Text overlap"), "number", unit="%"),
        Column("main_total", _("Main duration"), "duration", value="main_total_ms", priority=3),
        Column("total", _("Shadow duration"), "duration", value="total_ms", priority=2),
        Column("main_tokens", _("Main tokens"), "number", priority=3),
        Column("tokens", _("Shadow tokens"), "number", priority=2),
        Column("cost", _("Cost"), "money", value="cost_nano", card="money"),
        Column("rid", _("Request ID"), "code", chosen=False),
    ),
    default_sort="-at",
    filters=(Filter("q", _("Model"), "search"),),
    big=True,
)


@operator_page("channels.read")
@require_safe
def shadow_traffic(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(SHADOW_ANSWERS, request, actor)
    rows = visible_shadow_answers(actor)
    if state.value("q"):
        rows = rows.filter(model__icontains=state.value("q"))
    spent = spent_today()
    shadows = {rule.model: read_shadow(rule.shadow) for rule in visible_rules(actor)}
    context = {
        "figures": shadow_figures(_HOURS),
        "rules": [
            {"model": model, "shadow": shadow, "spent": spent.get(model)}
            for model, shadow in shadows.items()
            if shadow is not None
        ],
    }
    templates = ("gateway/routing/shadow_traffic.html", "gateway/routing/_shadow_answers.html")
    return answer_table(request, state, QuerySource(rows), templates, context, _answer_rows)


def _answer_rows(page: list[ShadowAnswer]) -> list[dict[str, Any]]:
    return [
        {
            "id": row.id,
            "at": row.at,
            "model": row.model,
            "channel": row.channel,
            "result": _result(row),
            "likeness": row.likeness,
            "main_total_ms": row.main_total_ms,
            "total_ms": row.total_ms,
            "main_tokens": row.main_tokens,
            "tokens": row.tokens,
            "cost_nano": None if row.cost_unknown else row.cost_nano,
            "rid": id_text(row.request_id),
        }
        for row in page
    ]


def _result(row: ShadowAnswer) -> Badge:
    if row.fault == STOPPED:
        return Badge(_("Stopped"), "warn")
    main, shadow = row.main_status == 200, not row.fault
    if main and shadow:
        return Badge(_("Both answered"), "ok")
    if main:
        return Badge(_("Shadow failed"), "bad", "x")
    return Badge(_("Main failed"), "warn") if shadow else Badge(_("Both failed"), "bad", "x")
