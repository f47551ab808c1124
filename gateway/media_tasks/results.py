"""Stored results of media tasks: a song's clips, an image's buttons."""

import json
from typing import Any

from accounts.secrets.sealing import vault
from gateway.models import MediaTask
from lib import clock
from lib.vault import VaultError


def result_of(task: MediaTask) -> dict[str, Any]:
    """Return the provider's data of a finished task; {} if it is not stored, or no longer."""
    if task.result is None or task.expires_at is None or task.expires_at <= clock.now():
        return {}
    try:
        raw = vault().open(bytes(task.result), f"gateway_mediatask|{task.id}|result")
        result = json.loads(raw).get("result")
    except (VaultError, ValueError):
        return {}
    return result if isinstance(result, dict) else {}
