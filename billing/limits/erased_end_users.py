"""Replace the names of an erased person among the end users of an organisation's budgets: in their
windows, and in the amounts of their own."""

import re
from collections import defaultdict
from uuid import UUID

from django.db import transaction

from accounts.members.pseudonym import Traces, address_pattern
from accounts.names.names import first_free_name
from billing.ledger.ledger import lock_wallet
from billing.models import Budget, BudgetWindow


def rename_end_users(organisation_id: UUID, traces: Traces) -> None:
    """Replace each end user whose name contains an address of the person with the pseudonym. Two
    spellings in a budget become two names, because their windows and amounts are apart. A period
    that runs is renamed too. Requests wait for the organisation's account while this writes, and
    not while it searches."""
    names = _names_by_budget(organisation_id, traces)
    if not names:
        return
    with transaction.atomic():
        lock_wallet(organisation_id)
        for budget in Budget.with_removed.filter(id__in=names).order_by("id"):
            windows = BudgetWindow.objects.filter(budget=budget)
            former = windows.filter(end_user__startswith=traces.pseudonym)
            taken = {*budget.own_amounts, *former.values_list("end_user", flat=True)}
            for name in sorted(names[budget.id]):
                new = first_free_name(traces.pseudonym, taken)
                taken.add(new)
                windows.filter(end_user=name).update(end_user=new)
                if name in budget.own_amounts:
                    budget.own_amounts[new] = budget.own_amounts.pop(name)
            budget.save(update_fields=["own_amounts"])


def _names_by_budget(organisation_id: UUID, traces: Traces) -> dict[int, set[str]]:
    pattern = address_pattern(traces.addresses)
    names = defaultdict[int, set[str]](set)
    windows = BudgetWindow.objects.filter(budget__organisation=organisation_id)
    windows = windows.exclude(end_user="").filter(end_user__iregex=pattern)
    for budget_id, name in windows.values_list("budget_id", "end_user").distinct():
        names[budget_id].add(name)
    budgets = Budget.with_removed.filter(organisation=organisation_id).exclude(own_amounts={})
    for budget_id, own_amounts in budgets.values_list("id", "own_amounts"):
        if own := {name for name in own_amounts if re.search(pattern, name, re.IGNORECASE)}:
            names[budget_id] |= own
    return names
