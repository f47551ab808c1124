"""Attempts and records keep what their client calls their session."""

from django.db import migrations, models

_MODELS = ("attempt", "usagerecord")


class Migration(migrations.Migration):
    dependencies = [("usage", "0064_accepted_members")]

    operations = [
        *(
            migrations.AddField(
                model_name=model,
                name="session",
                field=models.JSONField(
                    null=True,
                    help_text="What its client calls the session and the agent: {name, source, …}.",
                ),
            )
            for model in _MODELS
        ),
        # Its help text alone is another one.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name=model,
                    name="session_id",
                    field=models.UUIDField(
                        null=True,
                        help_text="The session that it was part of: relay/requests/sessions.py",
                    ),
                )
                for model in _MODELS
            ]
        ),
    ]
