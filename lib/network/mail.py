"""Whether emails can leave this installation, and how one is written."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string


class NoMailServer(OSError):
    """No mail server is set up, so an email was not sent. It is an OSError, so that whoever handles
    a mail server that cannot be reached handles this too."""


def mail_is_set_up() -> bool:
    """Whether emails can be sent."""
    return not settings.EMAIL_BACKEND.endswith("NoServerBackend")


def render_letter(template: str, context: Mapping[str, Any]) -> tuple[str, str]:
    """The subject, in one line, and the text of an email. Both are in one template, which is
    rendered for each: `part` is "subject" or "text"."""
    subject = render_to_string(template, {**context, "part": "subject"})
    text = render_to_string(template, {**context, "part": "text"})
    return " ".join(subject.split()), text.strip() + "\n"
