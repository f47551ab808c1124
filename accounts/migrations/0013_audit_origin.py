from django.db import migrations, models


def _text(name: str, length: int) -> migrations.AddField:
    return migrations.AddField(
        model_name="auditevent",
        name=name,
        field=models.CharField(db_default="", max_length=length),
    )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0012_kek_ring")]

    operations = [
        _text("address", 45),
        _text("client", 200),
        _text("session", 16),
        _text("request_id", 26),
        _text("reason", 500),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["object_id", "-id"], name="audit_by_object"),
        ),
        migrations.CreateModel(
            name="AuditCheck",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("checked_at", models.DateTimeField()),
                ("until", models.DateTimeField(null=True)),
                ("problem", models.TextField(default="")),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="one_audit_check")
                ],
            },
        ),
    ]
