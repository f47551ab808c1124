"""Many tables in one step are those of many steps, whichever refers to which."""

import pytest
from django.db import connection, migrations, models
from django.db.migrations.state import ProjectState

from lib.database.schema import CreateModels


@pytest.mark.django_db
def test_models_refer_to_each_other_and_indexes_exist() -> None:
    link = models.ForeignKey("lib.right", models.CASCADE)
    operation = CreateModels(
        [
            migrations.CreateModel(
                "Left", [("id", models.AutoField(primary_key=True)), ("to", link)]
            ),
            migrations.CreateModel(
                "Right",
                [("id", models.AutoField(primary_key=True)), ("n", models.IntegerField())],
                {"indexes": [models.Index(fields=["n"], name="right_by_n")]},
            ),
        ]
    )
    before, after = ProjectState(), ProjectState()
    assert before.apps.get_models() == after.apps.get_models() == []
    operation.state_forwards("lib", after)
    assert [one.__name__ for one in after.apps.get_models()] == ["Left", "Right"]
    assert operation.describe() == "Create models Left, Right"
    with connection.schema_editor() as editor:
        operation.database_forwards("lib", editor, before, after)
        editor.execute("DROP INDEX right_by_n")
        relations = connection.introspection.get_relations(connection.cursor(), "lib_left")
        assert relations == {"to_id": ("id", "lib_right")}
        operation.database_backwards("lib", editor, after, before)
    assert {"lib_left", "lib_right"}.isdisjoint(connection.introspection.table_names())
