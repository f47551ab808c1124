"""The names that models may have."""

import re

from django.utils.translation import gettext

from gateway.channels import bounds as bounds
from lib.refusal import Refused


def check_model_name(field: str, name: str, *, pattern: bool = True) -> None:
    """Raise Refused for an invalid model name or, if allowed, an invalid pattern of names."""
    # Postgres cannot store a zero byte in a text.
    fits = len(name) <= bounds.MODEL_MAX and re.fullmatch(bounds.MODEL_PATTERN, name)
    if not fits or "\0" in name:
        text = gettext("%(name)s is not a model name: use at most %(n)s characters, no spaces.")
        raise Refused(field, text % {"name": name[:60], "n": bounds.MODEL_MAX})
    if "*" in name and not pattern:
        text = gettext("%(name)s is a pattern. Enter the name of one model.")
        raise Refused(field, text % {"name": name})
