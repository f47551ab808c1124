"""Texts about who may create an account."""

from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from accounts.models import SignUpMode

SIGN_UP_NAMES: Final[dict[str, Any]] = {
    SignUpMode.OFF: _("No one: operators create accounts"),
    SignUpMode.INVITE: _("People with an invitation"),
    SignUpMode.DOMAIN: _("People with an invitation or a listed email domain"),
    SignUpMode.OPEN: _("Anyone: each person names their own organisation"),
}
