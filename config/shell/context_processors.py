"""The context of every page's shell: theme, language, and what the actor may see in the
organisation. Figures are callables, so that only templates that use them query the database."""

from functools import cache

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language

from accounts.access.access import scope_of
from accounts.access.actors import Actor
from accounts.models import Organisation
from accounts.preferences.appearance import THEME_COOKIE, THEMES
from accounts.sessions.view_as import Viewing, viewing_of
from billing.approvals.approvals import count_for
from billing.balances.balances import balance
from config.shell.help import help_url
from config.shell.navigation import menu
from gateway.models import Announcement
from gateway.status.announcements import announcements_for
from lib.database.tenancy import use_tenant
from playground.preferences.preferences import preference_of
from usage.reviews.reviews import COUNT_MAX, count_open


def shell(request: HttpRequest) -> dict[str, object]:
    theme = request.COOKIES.get(THEME_COOKIE, THEMES[0])
    actor: Actor | None = getattr(request, "actor", None)
    return {
        "theme": theme if theme in THEMES else THEMES[0],
        "lang": get_language(),
        "actor": actor,
        "public_url": settings.PUBLIC_URL,
        "organisations": lambda: _organisations(actor),
        # The template reads it twice.
        "balance_nano": cache(lambda: _balance_nano(actor)),
        # Several places of the shell show it.
        "menu": cache(lambda: menu(actor, request.path)),
        "help_url": cache(lambda: _help_url(request, actor)),
        "reviews_open": cache(lambda: _reviews_open(actor)),
        "approvals_open": cache(lambda: _approvals_open(actor)),
        "viewing": cache(lambda: _viewing(request, actor)),
        "announcements": cache(lambda: _announcements(actor)),
        "letter_keys": lambda: _letter_keys(actor),
    }


def _help_url(request: HttpRequest, actor: Actor | None) -> str:
    # None: no address matched, or a middleware answers.
    match = request.resolver_match
    return help_url(actor, match.url_name or "", request.path) if match is not None else ""


def _balance_nano(actor: Actor | None) -> int | None:
    if actor is None or actor.organisation is None or scope_of(actor, "balance.read") is None:
        return None
    return balance(actor.organisation).free_nano


def _reviews_open(actor: Actor | None) -> str:
    """Return the number of requests that wait for an operator's decision; "" for none."""
    if actor is None or not actor.operator:
        return ""
    with use_tenant(None):
        count = count_open(actor)
    return f"{COUNT_MAX}+" if count > COUNT_MAX else str(count or "")


def _approvals_open(actor: Actor | None) -> str:
    """Return the number of changes that wait for this operator; "" for none."""
    if actor is None or not actor.operator:
        return ""
    with use_tenant(None):
        return str(count_for(actor) or "")


def _announcements(actor: Actor | None) -> list[Announcement]:
    """Return the current announcements that the person has not dismissed."""
    return [] if actor is None or actor.user is None else announcements_for(actor.user)


def _letter_keys(actor: Actor | None) -> bool:
    """Return whether single-letter shortcuts are enabled on the person's pages."""
    return actor is not None and actor.user is not None and preference_of(actor.user).letter_keys


def _viewing(request: HttpRequest, actor: Actor | None) -> Viewing | None:
    return viewing_of(request.session) if actor is not None and actor.user is not None else None


def _organisations(actor: Actor | None) -> list[Organisation]:
    if actor is None or actor.user is None:
        return []
    own = Organisation.objects.filter(memberships__user=actor.user, archived_at=None)
    with use_tenant(None):
        return list(own.order_by("name"))
