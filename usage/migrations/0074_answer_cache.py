from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0073_prompts_of_requests"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL("ALTER TABLE usage_attempt ALTER COLUMN channel_id DROP NOT NULL")
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="attempt",
                    name="channel_id",
                    field=models.UUIDField(
                        help_text="Null if a stored answer was served.", null=True
                    ),
                )
            ],
        )
    ]
