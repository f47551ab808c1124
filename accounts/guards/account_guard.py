"""The guard of the pages of a person's own account (W60), and ready-made views in Weir's page
frame."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.http import HttpRequest, HttpResponseBase
from django.utils.functional import Promise

from accounts.guards.guards import View, signed_in_view, visitor
from accounts.guards.reauthentication import recent_sign_in_required
from lib.database import tenancy


def account_page(view: View) -> View:
    """Guard a view of the person's own account. The view is called as ``view(request, **rest)``."""

    @wraps(view)
    def guarded_view(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        # The navigation is that of the organisation last visited. The page's content belongs to the
        # person, not to an organisation.
        visitor(request)
        tenancy.enter(None)
        return cast(HttpResponseBase, view(request, **kwargs))

    return signed_in_view(guarded_view)


def dangerous_page(action: Promise, *place: Promise) -> Callable[[View], View]:
    """Guard a page like `account_page`, and require a recent sign-in. `action` says what the
    sign-in is needed for."""

    def decorate(view: View) -> View:
        return account_page(recent_sign_in_required(action, *place)(view))

    return decorate
