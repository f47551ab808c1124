"""The message for a budget that refused a message, in the page's language."""

from django.utils.formats import date_format
from django.utils.translation import gettext

from billing.currency.words import beside_text, limit_text
from billing.limits.budget_subjects import subject_names
from billing.limits.budgets import current_usage
from billing.models import Budget


def lacking_text(budget_id: int) -> str:
    """Return the state of the budget and when it resets; empty if it no longer exists."""
    budgets = list(Budget.objects.filter(id=budget_id))
    names = subject_names(budgets)
    for usage in current_usage(budgets):
        name = names[usage.budget.id] or usage.budget.organisation.name
        used_nano = usage.spent_nano + usage.held_nano
        facts = {
            "name": name,
            "used": beside_text(used_nano, usage.limit_nano),
            "limit": limit_text(usage.limit_nano),
        }
        if usage.left_nano:
            text = gettext(
                "The budget of %(name)s has too little left for this message: %(used)s of "
                "%(limit)s is spent or reserved."
            )
        else:
            text = gettext("The budget of %(name)s is used up: %(used)s of %(limit)s.")
        if usage.resets_at is None:
            return text % facts
        resets = date_format(usage.resets_at, "DATETIME_FORMAT")
        when = gettext("It resets on %(date)s UTC.") % {"date": resets}
        return f"{text % facts} {when}"
    return ""


def lacked_text(budget_id: int) -> str:
    """Return the message for a refusal that happened some time ago. The budget's figures may have
    changed since then."""
    budgets = list(Budget.objects.filter(id=budget_id))
    for budget, name in zip(budgets, subject_names(budgets).values(), strict=True):
        text = gettext("The budget of %(name)s had too little left for this message.")
        return text % {"name": name or budget.organisation.name}
    return ""
