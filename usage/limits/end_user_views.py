"""The end users under a budget of each one: what everyone has spent, and amounts of their own."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.limits.end_users import END_USER_LENGTH
from accounts.preferences.table_preferences import read_table
from billing.currency.forms import MoneyField
from billing.currency.money import format_usd
from billing.limits import budgets
from billing.limits.budgets import BudgetRefused
from billing.models import Budget, BudgetScope
from lib.htmx import redirect_to, render_dialog
from lib.tables.pages import answer_table
from lib.tables.table import Column, Filter, Table
from usage.limits.end_users import EndUserRow, end_user_rows
from usage.limits.views import meter_of

END_USERS = Table(
    "end-users",
    _("End users"),
    (
        Column("name", _("End user"), sort=True, card="title"),
        Column("used", _("Used"), "meter", value="used_nano", sort=True),
        Column("spent", _("Spent"), "total", value="spent_nano", sort=True, card="money"),
        Column("held", _("Reserved"), "total", value="held_nano", sort=True, priority=3),
        Column("limit", _("Limit"), "total", value="limit_nano", sort=True, priority=2),
        Column("own", _("Own amount"), "total", value="own_nano", chosen=False),
        Column("resets", _("Resets"), "ago", value="resets_at", priority=3, card="last"),
    ),
    default_sort="-spent",
    key="name",
    filters=(Filter("q", _("End user"), "search"),),
)


class EndUserForm(forms.Form):
    """The amount of one end user in each period."""

    end_user = forms.CharField(
        label=gettext_lazy("End user"),
        max_length=END_USER_LENGTH,
        help_text=gettext_lazy("The name as the application sends it."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    amount = MoneyField(
        label=gettext_lazy("Amount (USD)"),
        required=False,
        help_text=gettext_lazy("Leave empty for the amount that all have."),
    )


@organisation_page("budgets.read")
@require_safe
def end_user_list(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    budget = _end_users_budget(actor, id)
    state = read_table(END_USERS, request, actor)
    dialog = reverse("end_user", args=[slug_of(actor), budget.id])

    def make(rows: Iterable[EndUserRow]) -> list[dict[str, Any]]:
        return [
            {
                "name": row.name,
                "href": f"{dialog}?{urlencode({'end_user': row.name})}",
                "own_nano": row.own_nano,
                **meter_of(row.usage),
            }
            for row in rows
        ]

    rows = end_user_rows(budget, state.value("q"))
    context = {"budget": budget, "may_write": budgets.may_write(actor, budget)}
    templates = ("usage/limits/end_users.html", "usage/limits/_end_users.html")
    return answer_table(request, state, rows, templates, context, make)


@organisation_page("budgets.write")
@require_http_methods(["GET", "HEAD", "POST"])
def end_user_edit(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    budget = _end_users_budget(actor, id)
    form = EndUserForm(request.POST or None, initial=_initial(budget, request))
    if request.method == "POST" and form.is_valid():
        name, amount_nano = form.cleaned_data["end_user"], form.cleaned_data["amount"]
        try:
            budgets.set_own_amount(actor, budget, name, amount_nano)
        except BudgetRefused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Budget of %(name)s saved.") % {"name": name})
            return redirect_to(request, "end_users", slug_of(actor), budget.id)
    return render_dialog(
        request,
        "usage/limits/end_user.html",
        {"form": form, "budget": budget},
        refused=form.is_bound,
    )


def _initial(budget: Budget, request: HttpRequest) -> dict[str, Any]:
    name = request.GET.get("end_user", "")
    own_nano = budget.own_amounts.get(name)
    return {"end_user": name, "amount": "" if own_nano is None else format_usd(own_nano)}


def _end_users_budget(actor: Actor, id: str) -> Budget:
    """Return a budget of each end user that the actor may see. Raises Http404."""
    budget = budgets.access_budget(actor, id)
    if budget.scope != BudgetScope.END_USER:
        raise Http404
    return budget
