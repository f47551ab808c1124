"""What was made by a media task, as it is kept: a song's clips, a picture's buttons."""

import json
from typing import Any

from accounts.secrets.sealing import vault
from gateway.models import MediaTask
from lib import clock
from lib.vault import VaultError


def result_of(task: MediaTask) -> dict[str, Any]:
    """What its provider has told of a finished task; {} where that is not kept, or no more."""
    if task.result is None or task.expires_at is None or task.expires_at <= clock.now():
        return {}
    try:
        raw = vault().open(bytes(task.result), f"gateway_mediatask|{task.id}|result")
        found = json.loads(raw).get("result")
    except (VaultError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
