"""Another process of the installation, which polls the media tasks of a hub's database when a test
says so."""

import os
import signal
from typing import Any

from tests.relay import sweeper
from tests.support.beside import Beside
from tests.support.hub import Hub, Tenant


def poll(hub: Hub, tenant: Tenant, times: int = 1) -> None:
    """Ask for all tasks of the tenant that have no end, as if it were time."""
    for _ in range(times):
        make_due(hub, tenant)
        sweeper.beside(hub, poll_database)


def make_due(hub: Hub, tenant: Tenant) -> None:
    """It is time for all of the tenant's."""
    hub.connection.execute(
        "UPDATE gateway_mediatask SET next_poll_at = now() "
        "WHERE organisation_id = %s AND ended_at IS NULL",
        [tenant.organisation_id],
    )


def poll_and_die(hub: Hub, tenant: Tenant, point: str) -> bool:
    """The same by a worker that is killed (-9) at a point of it: `taken`, `told`, `settling`,
    `settled`. Whether it came there."""
    make_due(hub, tenant)
    worker = Beside(os.environ)
    try:
        worker.call(_poll_and_die, hub.connection.info.dbname, point)
    except (EOFError, OSError):
        return True
    finally:
        worker.close()
    return False


def _poll_and_die(name: str, point: str) -> int:
    from billing.holds import unsettled_holds
    from gateway.media_tasks import media_tasks

    def deadly(owner: Any, name: str, *, before: bool) -> None:
        work = getattr(owner, name)

        def killed(*args: Any, **options: Any) -> Any:
            if before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = work(*args, **options)
            if result:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, killed)

    match point:
        case "taken":
            deadly(media_tasks, "_take", before=False)
        case "told":
            deadly(media_tasks, "_end", before=True)
            deadly(media_tasks, "_going_on", before=True)
        case "settling":
            deadly(unsettled_holds, "end", before=False)
        case "settled":
            deadly(media_tasks, "_write", before=False)
    return poll_database(name)


def poll_database(name: str) -> int:
    """Beside the hub."""
    from django.db import connection

    from gateway.media_tasks import media_tasks

    connection.settings_dict["NAME"] = name
    polled = media_tasks.poll()
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    return polled
