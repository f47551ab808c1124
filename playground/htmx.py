"""What answers tell the page beside their fragment."""

import json

from django.http import HttpResponse


def toast(
    response: HttpResponse, text: str, action: str = "", post: str = "", tone: str = "ok"
) -> HttpResponse:
    """Say it in a toast; `action` is a button that posts to an address."""
    told = {"text": text, "tone": tone}
    if action:
        told |= {"action": action, "post": post}
    # Headers are Latin-1; JSON escapes the rest.
    response["HX-Trigger"] = json.dumps({"toast": told})
    return response
