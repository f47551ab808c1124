"""Pages of the room config."""

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from accounts.access.actors import SYSTEM
from accounts.models import Erasure, Membership, User
from accounts.organisations import organisations
from billing.balances import balances
from config.jobs.schedule import BACKUP_TASK, JOBS
from config.models import JobRun, ProcessReport
from content.rules import log_rules
from lib import clock
from tests.house.outlines.scenes.scene import Scene
from tests.isolation.building import open_first_page
from tests.isolation.who import Who
from tests.isolation.world import NANO, World
from tests.support import cast
from tests.usage.rows import admit, happen

_HTMX: Final = {"HX-Request": "true"}
_NEW: Final = "operator of a new hub"


def _in(days: int) -> dt.datetime:
    return clock.now() + dt.timedelta(days=days)


def _page(path: str) -> Callable[[World], str]:
    return lambda world: path


# The first run -----------------------------------------------------------------------------------


def _operator(world: World, *, owns: bool = True) -> User:
    """Another operator, who has an organisation of their own or none."""
    user = cast.person("nora", operator=True)
    client = cast.signed_in(user)
    if owns:
        own = organisations.create_organisation("Norse", owner=user, actor=SYSTEM)
        balances.add_opening_credit(own, 113 * NANO)
        open_first_page(client, user, own)
    world.clients[Who(_NEW)] = client
    return user


def _first_step(world: World, path: str = "/admin/setup") -> str:
    _operator(world, owns=False)
    return path


def _key_step(world: World, path: str = "/admin/setup") -> str:
    _operator(world)
    return path


def _request_step(world: World) -> str:
    user = _operator(world)
    cast.make_key(Membership.objects.get(user=user).organisation.teams.get(), "first", user=user)
    return "/admin/setup"


def _live(world: World) -> str:
    user = _operator(world)
    team = Membership.objects.get(user=user).organisation.teams.get()
    key, _ = cast.make_key(team, "first", user=user)
    happen(key, clock.now() - dt.timedelta(minutes=9), user_id=user.pk)
    return "/admin/setup"


def _kept(world: World, path: str) -> str:
    """The content log keeps what is sent."""
    log_rules.add_rule(SYSTEM, world.acme, scope="organisation", subject="", keep="request")
    return path


# Panels ------------------------------------------------------------------------------------------


def _late_jobs(world: World) -> str:
    """A job that fails, one that does not run, and one that failed once."""
    first, second, third = list(JOBS)[:3]
    long_ago = {"expected_at": _in(-20), "began_at": _in(-9), "ended_at": _in(-9)}
    JobRun.objects.all().delete()
    JobRun.objects.create(task=first, error="OperationalError", **long_ago)
    JobRun.objects.create(task=second, good_at=_in(-9), **long_ago)
    JobRun.objects.create(task=third, error="TimeoutError", good_at=clock.now())
    return "/admin/_f/overview/jobs"


def _latest(world: World) -> str:
    """One request that runs, one that failed, and one that was answered."""
    user = _operator(world)
    team = Membership.objects.get(user=user).organisation.teams.get()
    key, _ = cast.make_key(team, "mine", user=user)
    now = clock.now()
    happen(
        key, now - dt.timedelta(minutes=7), user_id=user.pk, model="m-1", client_app="Codex",
        charge_nano=NANO // 17,
    )  # fmt: skip
    happen(key, now - dt.timedelta(minutes=5), user_id=user.pk, model="m-2", status=502)
    admit(key, now - dt.timedelta(minutes=3), user_id=user.pk, model="m-3", client_app="Codex")
    return "/o/norse/_f/home/latest"


def _arrived(world: World) -> str:
    _latest(world)
    since = (clock.now() - dt.timedelta(minutes=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"/o/norse/_f/connect/request?since={since}"


def _nothing(world: World, name: str) -> str:
    """A panel of one whose organisation has done nothing."""
    _operator(world)
    return f"/o/norse/_f/home/{name}"


def _backups(world: World) -> str:
    JobRun.objects.create(task=BACKUP_TASK, ended_at=_in(-4), good_at=_in(-4), bytes=1_009)
    return "/admin/settings/backups"


# Erasure -----------------------------------------------------------------------------------------


def _erasure(world: World, **over: Any) -> str:
    person = world.people["developer", "deactivated"]
    erasure = Erasure.objects.create(
        **{
            "user": person, "asked_by": world.people["operator", "active"], "step": "files",
            "pseudonym": "erased-1", "counts": {"chats": 2, "keys": 3, "media": 5, "sealed": 7},
            "asked_at": _in(-9), **over,
        }
    )  # fmt: skip
    return f"/admin/people/{erasure.user_id}/erasure"


def _busy_process(world: World) -> str:
    ProcessReport.objects.create(
        host="hub-1", pid=17, role="web", version="1.2.3", reported_at=clock.now(),
        started_at=_in(-9), cpu_ms=2_000, cpu_percent=97, resident_bytes=211 * 2**20, open_fds=13,
        max_fds=1_024, connections=5, in_flight=3, loop_lag_us=61_000,
    )  # fmt: skip
    page = world.clients[Who("operator")].get("/admin/health").content.decode()
    section = page.partition('<h2 id="processes-title">')[2].partition("</section>")[0]
    return f"<h2>{section}"


SCENES: Final = (
    Scene("set-up without an organisation", _first_step, _NEW),
    Scene("set-up with a wrong name", partial(_first_step, path="/admin/setup/organisation"), _NEW,
          posted={"name": ""}),
    Scene("set-up without a key", _key_step, _NEW),
    Scene("set-up without a request", _request_step, _NEW),
    Scene("set-up that is done", _live, _NEW),
    Scene("start of a new operator", partial(_key_step, path="/o/norse/start"), _NEW),
    Scene("start with a new key", partial(_key_step, path="/o/norse/start/key"), _NEW,
          posted={"name": "first"}),
    *(
        Scene(f"agent {agent}", _page(f"/o/acme/connect?agent={agent}&system=windows"), "developer")
        for agent in ("cursor", "cline", "librechat")
    ),
    Scene("agent whose contents are kept", partial(_kept, path="/o/acme/connect?agent=codex")),
    Scene("agent that gets a key", _page("/o/acme/connect"), posted={"agent": "codex"}),
    Scene("erasure that waits", partial(_erasure, waits_for="requests"), "operator"),
    Scene("erasure that runs", partial(_erasure, step="sign_ins"), "operator"),
    Scene("erasure that is done", partial(_erasure, done_at=_in(-7), unreached=["loki"]),
          "operator"),
    Scene("process that is busy", _busy_process),
    Scene("jobs that are late", _late_jobs, "operator", headers=_HTMX),
    Scene("latest requests", _latest, _NEW, headers=_HTMX),
    Scene("first request that came", _arrived, _NEW, headers=_HTMX),
    *(
        Scene(f"{name} of nothing", partial(_nothing, name=name), _NEW, headers=_HTMX)
        for name in ("spend", "models", "errors", "latest")
    ),
    Scene("own data of the last owner", _page("/account/data"), "owner"),
    Scene("backups that were made", _backups, "operator"),
)  # fmt: skip
