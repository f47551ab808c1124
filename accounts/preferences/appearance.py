"""Theme and language of the pages: cookies for the browser, fields for the person."""

from django.conf import settings
from django.http import HttpResponseBase

from accounts.models import User

THEMES = ("system", "light", "dark")
THEME_COOKIE = "theme"
_YEAR_S = 365 * 24 * 3600


def set_appearance(
    response: HttpResponseBase, user: User | None, *, theme: str = "", language: str = ""
) -> None:
    """Store a choice in the browser and, if somebody is signed in, for that person. An unknown or
    empty choice changes nothing."""
    if theme in THEMES:
        _keep(response, THEME_COOKIE, theme)
        if user is not None:
            user.theme = theme
            user.save(update_fields=["theme"])
    if language in dict(settings.LANGUAGES):
        _keep(response, settings.LANGUAGE_COOKIE_NAME, language)
        if user is not None:
            user.language = language
            user.save(update_fields=["language"])


def recall_appearance(response: HttpResponseBase, user: User) -> None:
    """Give a browser that the person has just signed in with the person's choices."""
    if user.theme in THEMES:
        _keep(response, THEME_COOKIE, user.theme)
    if user.language in dict(settings.LANGUAGES):
        _keep(response, settings.LANGUAGE_COOKIE_NAME, user.language)


def _keep(response: HttpResponseBase, name: str, value: str) -> None:
    response.set_cookie(
        name,
        value,
        max_age=_YEAR_S,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
