import django.db.models.deletion
from django.db import migrations, models

_ROLES = ["owner", "admin", "billing", "developer", "viewer", "custom"]


class Migration(migrations.Migration):
    dependencies = [("accounts", "0015_session_digests")]

    operations = [
        migrations.CreateModel(
            name="SignUpSetting",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                (
                    "mode",
                    models.CharField(
                        choices=[
                            ("off", "Off"),
                            ("invite", "Invite"),
                            ("domain", "Domain"),
                            ("open", "Open"),
                        ],
                        default="invite",
                        max_length=8,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("id", 1)), name="one_sign_up_setting"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SignUpDomain",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("domain", models.CharField(max_length=253, unique=True)),
                (
                    "role",
                    models.CharField(
                        choices=[(role, role.title()) for role in _ROLES], max_length=12
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sign_up_domains",
                        to="accounts.organisation",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("role__in", ("owner", "custom")), _negated=True),
                        name="sign_up_domain_built_in_role",
                    )
                ],
            },
        ),
    ]
