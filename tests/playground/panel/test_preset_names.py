"""A person has one preset of each name in an organisation, also from before the database kept it
so."""

import json
import subprocess
import sys
import threading
from os import environ
from typing import Any

import pytest
from django.db import connection, transaction

from content.prompts.settings import Settings
from playground.models import Preset
from playground.panel.presets import save_preset
from tests.runner.databases import ROOT, own_database
from tests.support.cast import Cast, actor
from tests.support.waiting_locks import await_waiting

# In a process of its own, whose database begins with the table of before.
MOVE = """
import datetime as dt, json
import django
django.setup()
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

executor = MigrationExecutor(connection)
older = executor.migrate([("playground", "0019_prompts_left")]).apps
row_of = lambda model, /, **values: older.get_model(model).objects.create(**values)
dora, otto = (row_of("accounts.User", email=f"{name}@example.org") for name in ("dora", "otto"))
acme, other = (row_of("accounts.Organisation", name=name, slug=name) for name in ("acme", "other"))
day = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)

def save(*names, user=dora, organisation=acme):
    for n, name in enumerate(names):
        row_of("playground.Preset", user=user, organisation=organisation, name=name,
               settings={"n": n}, created_at=day + dt.timedelta(hours=n))

save("calm", "calm", "calm 2", "calm", "l" * 80, "l" * 80)
save("calm", organisation=other)
save("calm", user=otto)
call_command("migrate", skip_checks=True, verbosity=0)

from playground.models import Preset
rows = Preset.objects.order_by("user__email", "organisation__slug", "settings__n")
print(json.dumps(list(rows.values_list("user__email", "organisation__slug", "name"))))
"""


def test_presets_of_one_name_stay_under_different_ones() -> None:
    """The newest keeps it, for it was saved last."""
    with own_database("presets", of="template0") as dsn:
        settings = {"DATABASE_URL": dsn, "DJANGO_SETTINGS_MODULE": "config.settings"}
        answer = subprocess.run(
            [sys.executable, "-c", MOVE], cwd=ROOT, env={**environ, **settings},
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    rows = json.loads(answer.stdout.splitlines()[-1])
    names = ["calm 4", "calm 3", "calm 2", "calm", "l" * 78 + " 2", "l" * 80]
    assert rows == [
        *(["dora@example.org", "acme", name] for name in names),
        ["dora@example.org", "other", "calm"],
        ["otto@example.org", "acme", "calm"],
    ]


@pytest.mark.django_db(transaction=True)
def test_two_saves_at_once_make_one_preset(people: Cast) -> None:
    bob = actor(people.bob, people.acme)
    failed: list[Any] = []

    def save() -> None:
        try:
            save_preset(bob, "calm", Settings(system="Second"), shared=False)
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    other = threading.Thread(target=save)
    with transaction.atomic():
        save_preset(bob, "calm", Settings(system="First"), shared=False)
        other.start()
        await_waiting()
    other.join()
    assert failed == []
    assert Preset.objects.get().settings == {"system": "Second"}
    save_preset(bob, "calm", Settings(system="Third"), shared=False)
    assert Preset.objects.get().settings == {"system": "Third"}
