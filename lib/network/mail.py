"""Whether emails can leave this installation."""

from django.conf import settings


class NoMailServer(OSError):
    """No mail server is set up, so an email was not sent. It is an OSError, so that whoever handles
    a mail server that cannot be reached handles this too."""


def mail_is_set_up() -> bool:
    """Whether emails can be sent."""
    return not settings.EMAIL_BACKEND.endswith("NoServerBackend")
