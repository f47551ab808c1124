"""What every page's shell shows: theme and language (the actor comes from the view)."""

from django.http import HttpRequest
from django.utils.translation import get_language

THEMES = ("system", "light", "dark")


def shell(request: HttpRequest) -> dict[str, object]:
    theme = request.COOKIES.get("theme", "system")
    return {"theme": theme if theme in THEMES else "system", "lang": get_language()}
