"""Prompts that were saved before their tables belonged to this room stay, and older processes go on
reading and writing them under the tables' former names."""

import json
import subprocess
import sys
from os import environ

from tests.runner.databases import ROOT, own_database

# In a process of its own, whose database begins with the tables of before.
MOVE = """
import json
import django
django.setup()
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from lib.database.tenancy import use_tenant

executor = MigrationExecutor(connection)
older = executor.migrate([("playground", "0018_media_kinds_of_services")]).apps
OldPrompt = older.get_model("playground.Prompt")
OldVersion = older.get_model("playground.PromptVersion")
User = older.get_model("accounts.User")
Organisation = older.get_model("accounts.Organisation")
dora, ines = (User.objects.create(email=f"{name}@example.org") for name in ("dora", "ines"))
acme, other = (Organisation.objects.create(name=name, slug=name) for name in ("acme", "other"))

def save(organisation, slug, production, *models):
    prompt = OldPrompt.objects.create(
        organisation=organisation, user=dora, slug=slug, name=slug, production=production
    )
    for number, model in enumerate(models, 1):
        OldVersion.objects.create(
            prompt=prompt, number=number, user=dora, model=model, settings={"system": model}
        )
    return prompt

save(acme, "bot", 2, "a", "b", "c")
save(acme, "draft", None, "a")
save(other, "bot", 1, "z")
call_command("migrate", skip_checks=True, verbosity=0)

from content.models import Prompt, PromptVersion

def rows():
    return [
        [row.organisation.slug, row.slug, row.labels, [v.model for v in row.versions.all()]]
        for row in Prompt.objects.order_by("organisation__slug", "slug")
    ]

moved = rows()
with use_tenant(acme.id), transaction.atomic():
    seen = list(OldPrompt.objects.order_by("slug").values_list("slug", "production"))
    made = save(acme, "made", None, "m", "n")
    assert made.created_at and made.versions.get(number=1).created_at
    for number in (2, 1):
        locked = OldPrompt.objects.select_for_update().get(slug="made")
        locked.production = number
        locked.save(update_fields=["production"])
    OldPrompt.objects.filter(slug="bot").update(user=ines, shared=False)
    OldPrompt.objects.get(slug="draft").delete()
with connection.cursor() as cursor:
    cursor.execute(
        "SELECT indexname FROM pg_indexes WHERE tablename LIKE 'content_prompt%'"
        " UNION SELECT conname FROM pg_constraint WHERE conrelid::regclass::text LIKE"
        " 'content_prompt%'")
    names = [name for name, in cursor.fetchall()]
bot = Prompt.objects.get(organisation_id=acme.id, slug="bot")
print(json.dumps({
    "moved": moved, "seen": seen, "after": rows(), "names": names,
    "bot": [bot.user.email, bot.shared],
}))
"""


def test_prompts_stay_for_newer_and_older_processes() -> None:
    with own_database("former", of="template0") as dsn:
        settings = {"DATABASE_URL": dsn, "DJANGO_SETTINGS_MODULE": "config.settings"}
        answer = subprocess.run(
            [sys.executable, "-c", MOVE], cwd=ROOT, env={**environ, **settings},
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    result = json.loads(answer.stdout.splitlines()[-1])
    bots = [
        ["acme", "bot", {"production": [2]}, ["c", "b", "a"]],
        ["other", "bot", {"production": [1]}, ["z"]],
    ]
    assert result["moved"] == [bots[0], ["acme", "draft", {}, ["a"]], bots[1]]
    assert result["seen"] == [["bot", 2], ["draft", None]]
    made = ["acme", "made", {"production": [1, 2]}, ["n", "m"]]
    assert result["after"] == [bots[0], made, bots[1]]
    assert result["bot"] == ["ines@example.org", False]
    assert {"prompt_slug_once", "prompt_version_once"} <= set(result["names"])
    assert not [name for name in result["names"] if name.startswith("playground")]
