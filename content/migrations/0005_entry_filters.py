from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("content", "0004_entry_by_session")]

    operations = [
        migrations.RemoveIndex(model_name="entry", name="entry_by_time"),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(
                fields=["organisation", "-created_at"],
                include=(
                    "drop_at",
                    "request_id",
                    "expires_at",
                    "team_id",
                    "key_id",
                    "user_id",
                    "session_id",
                    "model",
                    "status",
                    "content_bytes",
                ),
                name="entry_by_time",
            ),
        ),
    ]
