"""Another process of the installation, which sweeps a hub's database when a test says so. There is
one for each thread that asks, so that those asked at once sweep at once: it takes longer to start
than to sweep."""

import atexit
import json
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from tests.support.beside import Beside
from tests.support.hub import Hub


@cache
def _process(thread: int) -> Beside:
    process = Beside(os.environ)
    atexit.register(process.close)
    return process


def sweep(hub: Hub) -> int:
    """Sweep once; how many holds were resolved."""
    return beside(hub, sweep_database)


def beside(hub: Hub, work: Callable[[str], int]) -> int:
    """Let that process do something with the hub's database, whose name it is given."""
    return _process(threading.get_ident()).call(work, hub.connection.info.dbname)


def sweep_database(name: str) -> int:
    """Beside the hub."""
    from django.db import connection

    from gateway.provider_accounts.reconciliation import usage_reconciliation

    connection.settings_dict["NAME"] = name
    resolved = usage_reconciliation.sweep()
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    return resolved


def receipt(hub: Hub, secret: str, request_id: str) -> dict[str, Any]:
    """The receipt of a request, as its key's owner gets it."""
    text = _process(threading.get_ident()).call(
        receipt_text, hub.connection.info.dbname, secret, request_id
    )
    body: dict[str, Any] = json.loads(text)
    return body


def receipt_text(name: str, secret: str, request_id: str) -> str:
    """Beside the hub."""
    from django.core.serializers.json import DjangoJSONEncoder
    from django.db import connection

    from accounts.access.actors import key_actor
    from usage.requests import receipts

    connection.settings_dict["NAME"] = name
    actor = key_actor(secret)
    assert actor is not None
    document = receipts.document(receipts.request_detail(actor, request_id))
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    return json.dumps(document, cls=DjangoJSONEncoder)
