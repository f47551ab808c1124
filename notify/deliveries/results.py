"""What went wrong in an attempt of a delivery. It is stored and told by the API in English, and
shown on pages in the reader's language."""

import re
from typing import Final

from django.utils.translation import gettext, gettext_noop

WEBHOOK_REMOVED: Final = gettext_noop("The webhook was removed.")
KEY_ENDED: Final = gettext_noop("The key that made the webhook has ended.")
REQUEST_KEY_ENDED: Final = gettext_noop("The key of the request has ended.")
SECRET_SEALED: Final = gettext_noop("The secret cannot be opened. Rotate it.")
ADDRESS_SEALED: Final = gettext_noop("The address cannot be opened.")
NO_ADDRESS: Final = gettext_noop("No public https address answers there, on port 443.")
"""Also for a name that cannot be resolved, so that a webhook's owner learns no internal names."""
BROKEN_OFF: Final = {
    "refused": gettext_noop("No connection."),
    "tls": gettext_noop("No trusted TLS."),
    "timeout": gettext_noop("No answer in time."),
    "broken": gettext_noop("The answer broke off."),
}
NO_PERSON: Final = gettext_noop("The person is gone.")
NO_MAIL_SERVER: Final = gettext_noop("No mail server is set up.")
NO_LETTER: Final = gettext_noop("No email can be sent to this address.")
STATUS: Final = gettext_noop("Answered with status %(value)s.")
CODE: Final = gettext_noop("Refused with code %(value)s.")
MAIL_REFUSED: Final = gettext_noop("The mail server refused: %(value)s.")


def result_text(stored: str) -> str:
    """Return a stored text in the active language; one that is not of this file is unchanged."""
    for pattern in (STATUS, CODE, MAIL_REFUSED):
        start, end = pattern.split("%(value)s")
        match = re.fullmatch(f"{re.escape(start)}(.*){re.escape(end)}", stored)
        if match:
            return gettext(pattern) % {"value": match[1]}
    return gettext(stored) if stored else ""
