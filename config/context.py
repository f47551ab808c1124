"""What every page's shell shows: theme, language, and what the actor may see of the organisation.

Figures are callables: only a template that shows them asks the database.
"""

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language

from accounts.access import Actor
from accounts.appearance import THEME_COOKIE, THEMES
from accounts.models import Organisation


def shell(request: HttpRequest) -> dict[str, object]:
    theme = request.COOKIES.get(THEME_COOKIE, THEMES[0])
    actor: Actor | None = getattr(request, "actor", None)
    return {
        "theme": theme if theme in THEMES else THEMES[0],
        "lang": get_language(),
        "actor": actor,
        "public_url": settings.PUBLIC_URL,
        "organisations": lambda: _organisations(actor),
    }


def _organisations(actor: Actor | None) -> list[Organisation]:
    if actor is None or actor.user is None:
        return []
    return list(Organisation.objects.filter(memberships__user=actor.user).order_by("name"))
