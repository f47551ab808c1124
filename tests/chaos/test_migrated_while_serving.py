"""An installation of before the migrations were squashed is migrated while it serves: its streams
run through it, and processes of both versions end each other's holds.

The older one is the last commit of before, as its own tree. The judge is the provider.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lib.database.code_migrations import LAST_BEFORE_SQUASH
from tests.chaos.judge import judge
from tests.chaos.load import Load
from tests.fakes.upstream import FakeUpstream
from tests.runner.databases import own_database
from tests.support.hub import ROOT, Hub, Tenant

pytestmark = pytest.mark.slow

CLIENTS = 12
CREDIT_NANO = 1_000 * 10**9
_SETTLED_S = 120.0
# What the older tree is asked, and the newer one: each by its own code.
_CREDIT = """
from accounts.models import Organisation
from billing.balances.balances import add_opening_credit
for organisation in Organisation.objects.all():
    add_opening_credit(organisation, int(argument))"""
_SWEEP = """
from gateway.provider_accounts.reconciliation.unsettled_attempts import sweep
sweep()"""
_SEAL = """
from accounts.secrets.key_ring import seal_key
from billing.seals.seals import seal_all
seal_all(seal_key())"""
_BROKEN = """
from django.db import connection
from usage.books.invariants import broken_invariants
with connection.cursor() as cursor:
    print(broken_invariants(cursor))"""
_VERIFY = """
from accounts.secrets.key_ring import seal_key
from django.db import connection
from billing.seals.seals import broken_seals
from usage.books.charge_check import wrong_charges
from usage.books.walk import broken_in_all
with connection.cursor() as cursor:
    print(broken_in_all().broken, broken_seals(cursor, seal_key()), list(wrong_charges()))"""


class Tree:
    """A version of the product on a database."""

    def __init__(self, root: Path, dsn: str) -> None:
        self.root, self.dsn = root, dsn

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DATABASE_URL": self.dsn, "PYTHONPATH": str(self.root)}

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.root, env=self.environment,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout.strip()

    def ask(self, text: str, argument: object = "") -> str:
        return self.run("-c", f"import django; django.setup(); argument = {str(argument)!r}{text}")

    def migrate(self) -> None:
        self.run("manage.py", "migrate", "--verbosity=0", "--skip-checks")


class OlderHub(Hub):
    """A web process of the older tree."""

    tree: Tree

    def spawn(self) -> None:
        command = ["-m", "uvicorn", "config.asgi:application", "--port", str(self.port)]
        command += [
            "--loop",
            "uvloop",
            "--http",
            "config.server.protocol:Protocol",
            "--no-access-log",
        ]
        environment = {
            **self.tree.environment,
            "DRAIN_ACCEPT_SECONDS": "0",
            "SPOOL_DIR": str(self.spool),
        }
        with self._log.open("ab") as log:
            process: Any = subprocess.Popen(
                [sys.executable, *command], cwd=self.tree.root, env=environment, stdout=log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.process = process


def older_tree(folder: Path) -> Path:
    git = ["git", "-C", str(ROOT), "archive", LAST_BEFORE_SQUASH]
    archive = subprocess.run(git, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(reason="only a clone with its history has the older version")
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


def holds(hub: Hub, condition: str, *parameters: Any) -> int:
    (row,) = hub.rows(f"SELECT count(*) AS n FROM billing_hold WHERE {condition}", *parameters)
    return int(row["n"])


def processes(hub: Hub) -> list[object]:
    """The ids of those that ever started."""
    return [row["id"] for row in hub.rows("SELECT id FROM billing_process")]


def balances(hub: Hub, tenants: list[Tenant]) -> list[dict[str, int]]:
    return [hub.balance(tenant) for tenant in tenants]


def end_by(tree: Tree, hub: Hub, condition: str, *parameters: Any) -> None:
    """Let what dead processes hold be ended by this version."""

    def ended() -> bool:
        tree.ask(_SWEEP)
        return not holds(hub, f"state = 'open' AND {condition}", *parameters)

    hub.wait(ended, "holds of a dead process stay open", _SETTLED_S)


def test_migrated_while_it_serves(tmp_path: Path) -> None:
    """P1, I1 to I24: with open holds and running streams, balances equal to the unit."""
    root = older_tree(tmp_path / "older")
    with FakeUpstream(name="a", process=True) as fake, own_database("older", of="template0") as dsn:
        before, now = Tree(root, dsn), Tree(ROOT, dsn)
        before.migrate()
        old = OlderHub(dsn)
        old.tree = before
        new = Hub(dsn)
        load: Load | None = None
        try:
            old.settings()
            old.start()
            tenants = [old.tenant("0") for _ in range(3)]
            before.ask(_CREDIT, CREDIT_NANO)
            model = old.model(fake)
            ports = [old.port]
            load = Load(ports, tenants, model, clients=CLIENTS, leaving=False, seed=1)
            load.start()
            old.wait(lambda: holds(old, "state = 'settled'") > 50, "nobody is served")
            before.ask(_SEAL)
            assert before.ask(_BROKEN) == "{}"

            # It serves on, by processes that know nothing of it.
            (row,) = old.rows("SELECT now() AS at")
            now.migrate()
            ran_through = "opened_at < %s AND resolved_at > now() - interval '1 minute'"
            assert holds(old, ran_through, row["at"]) > 0
            settled = holds(old, "state = 'settled'")
            old.wait(lambda: holds(old, "state = 'settled'") > settled + 50, "it serves no more")
            assert now.ask(_BROKEN) == "{}"

            # Both serve.
            older = processes(old)
            new.start()
            ports.append(new.port)
            of_others = "state = 'settled' AND process_id <> ALL (%s)"
            new.wait(lambda: holds(new, of_others, older) > 50, "new is idle")
            assert now.ask(_BROKEN) == "{}"

            # Holds of an older process, ended by a newer one; and the other way round.
            newer = [id for id in processes(new) if id not in older]
            of_these = "process_id = ANY (%s)"
            open_of_these = f"state = 'open' AND {of_these}"
            new.wait(lambda: holds(new, open_of_these, older) > 3, "old is idle")
            old.kill()
            end_by(now, new, of_these, older)
            old.start()
            new.wait(lambda: holds(new, open_of_these, newer) > 3, "new is idle")
            began = time.time()
            new.kill()
            end_by(before, old, of_these, newer)
            turned = f"{of_these} AND state = 'expired' AND resolved_at > to_timestamp(%s)"
            assert holds(old, turned, newer, began) > 0
            new.start()

            old.process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
            ports.remove(old.port)
            old.ended()
            load.stop()
            end_by(now, new, "true")
            verdict = judge(new, [fake])
            assert verdict.missing == verdict.double == verdict.overpaid == verdict.wrong == []
            now.ask(_SEAL)
            assert now.ask(_VERIFY) == "{} [] []"
            for tenant, state in zip(tenants, balances(new, tenants), strict=True):
                (row,) = new.rows(
                    "SELECT sum(charge_nano) AS nano FROM usage_usagerecord "
                    "WHERE organisation_id = %s", tenant.organisation_id,
                )  # fmt: skip
                assert state["revenue"] == row["nano"] > 0
                assert state["customer:available"] == CREDIT_NANO - row["nano"]
                assert state["customer:held"] == 0
        finally:
            if load is not None:
                load.stop()
            new.close()
            old.close()
