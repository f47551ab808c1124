from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("playground", "0018_media_kinds_of_services")]

    operations = [
        migrations.AddField(
            model_name="prompt",
            name="labels",
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
        migrations.RunSQL(
            """
            UPDATE playground_prompt
            SET labels = jsonb_build_object('production', jsonb_build_array(production))
            WHERE production IS NOT NULL
            """,
            """
            UPDATE playground_prompt SET production = (labels->'production'->>0)::int
            """,
        ),
        migrations.RemoveField(model_name="prompt", name="production"),
    ]
