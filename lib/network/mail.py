"""The rendering of emails, and the error of an installation that cannot send them."""

from collections.abc import Mapping
from typing import Any

from django.template.loader import render_to_string


class NoMailServer(OSError):
    """No mail server is configured, so an email was not sent. It is an OSError, so that handlers of
    an unreachable mail server handle it too.
    """


def render_letter(template: str, context: Mapping[str, Any]) -> tuple[str, str]:
    """Return the subject, in one line, and the text of an email. The template contains both and is
    rendered twice: `part` is "subject" or "text".
    """
    subject = render_to_string(template, {**context, "part": "subject"})
    text = render_to_string(template, {**context, "part": "text"})
    return " ".join(subject.split()), text.strip() + "\n"
