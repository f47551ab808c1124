"""Forms that show what would change before they save it."""

import re
from typing import Any

from django.test import Client


def digest_in(html: str) -> str:
    """The digest of the reviewed changes; "" where nothing is reviewed."""
    found = re.search(r'name="reviewed" value="([0-9a-f]+)"', html)
    return found[1] if found else ""


def save_reviewed(client: Client, path: str, sent: dict[str, Any]) -> Any:
    """Review a change, then save it."""
    review = client.post(path, sent).content.decode()
    return client.post(path, sent | {"reviewed": digest_in(review), "save": "1"})
