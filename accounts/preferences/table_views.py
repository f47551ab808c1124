"""Stores a person's choice of columns and rows of a table."""

from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_POST

from accounts.guards.guards import signed_in_view
from accounts.models import User
from accounts.preferences import table_preferences
from lib.htmx import back_to, see_other
from lib.tables.table import REGISTERED


@signed_in_view
@require_POST
def keep_preference(request: HttpRequest, table: str) -> HttpResponseBase:
    known = REGISTERED.get(table)
    if known is None or not isinstance(request.user, User):
        raise Http404
    kept = table_preferences.preference_of(request.user, known)
    form = dict(request.POST.lists())
    wanted = table_preferences.apply_form(known, kept, form)
    table_preferences.keep_preference(request.user, known, wanted)
    return see_other(back_to(request, "/"))
