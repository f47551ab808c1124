"""Texts about the encryption of a mail server's connection."""

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from accounts.models import MailEncryption

ENCRYPTION_NAMES: Final[Mapping[str, Any]] = {
    MailEncryption.STARTTLS: _("STARTTLS (port 587)"),
    MailEncryption.TLS: _("TLS (port 465)"),
    MailEncryption.NONE: _("None (port 25)"),
}
