from typing import Any

from django.db import migrations, models

_NAME_MAX = 80


def _rename_doubles(apps: Any, editor: Any) -> None:
    """Leave a name to its newest preset; the others of their owner get a number behind it."""
    # Until the constraint exists, nobody may add another one. Reads go on.
    editor.execute("LOCK TABLE playground_preset IN SHARE ROW EXCLUSIVE MODE")
    presets = apps.get_model("playground", "Preset").objects
    doubled = (
        presets.values("organisation", "user", "name").order_by().alias(n=models.Count("id"))
    ).filter(n__gt=1)
    for double in doubled:
        owned = presets.filter(organisation=double["organisation"], user=double["user"])
        taken = set(owned.values_list("name", flat=True))
        older = owned.filter(name=double["name"]).order_by("-created_at", "-id")[1:]
        for n, preset in enumerate(older, 2):
            preset.name = _free_name(preset.name, n, taken)
            taken.add(preset.name)
            preset.save(update_fields=["name"])


def _free_name(name: str, n: int, taken: set[str]) -> str:
    while (numbered := f"{name[: _NAME_MAX - len(str(n)) - 1]} {n}") in taken:
        n += 1
    return numbered


class Migration(migrations.Migration):
    dependencies = [("playground", "0019_prompts_left")]

    operations = [
        migrations.RunPython(_rename_doubles, elidable=True),
        migrations.AddConstraint(
            model_name="preset",
            constraint=models.UniqueConstraint(
                fields=["organisation", "user", "name"], name="preset_named_once"
            ),
        ),
    ]
