"""Where facts are sent, and what became of each."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models.functions import Now

from lib.database.schema import CreateModels
from lib.ids import new_id

REPLACED = [
    "0001_initial",
    "0002_webhook_key",
    "0003_chats",
    "0004_operator_alerts",
    "0005_hooks",
]

TABLES = [
    migrations.CreateModel(
        name="WebhookEndpoint",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("url", models.CharField(max_length=500)),
            (
                "kinds",
                ArrayField(
                    base_field=models.CharField(max_length=60),
                    default=list,
                    help_text="None = all.",
                    size=None,
                ),
            ),
            ("sealed", models.BinaryField()),
            ("sealed_before", models.BinaryField(null=True)),
            ("before_until", models.DateTimeField(null=True)),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("removed_at", models.DateTimeField(null=True)),
            (
                "created_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            (
                "organisation",
                models.ForeignKey(
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to="accounts.organisation",
                ),
            ),
            (
                "key",
                models.ForeignKey(
                    null=True, on_delete=models.PROTECT, related_name="+", to="accounts.key"
                ),
            ),
            (
                "service",
                models.CharField(
                    choices=[
                        ("webhook", "Your server (signed events)"),
                        ("slack", "Slack"),
                        ("feishu", "Feishu or Lark"),
                        ("dingtalk", "DingTalk"),
                        ("wecom", "WeCom"),
                    ],
                    db_default="webhook",
                    default="webhook",
                    max_length=8,
                ),
            ),
            ("name", models.CharField(blank=True, db_default="", default="", max_length=60)),
            ("language", models.CharField(blank=True, db_default="", default="", max_length=10)),
        ],
    ),
    migrations.CreateModel(
        name="Delivery",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "state",
                models.CharField(
                    choices=[("pending", "Pending"), ("delivered", "Delivered"), ("dead", "Dead")],
                    default="pending",
                    max_length=9,
                ),
            ),
            ("tries", models.JSONField(default=list)),
            ("due_at", models.DateTimeField(db_default=Now())),
            ("ended_at", models.DateTimeField(null=True)),
            (
                "fact",
                models.ForeignKey(on_delete=models.CASCADE, related_name="+", to="outbox.fact"),
            ),
            (
                "user",
                models.ForeignKey(
                    null=True,
                    on_delete=models.CASCADE,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            (
                "endpoint",
                models.ForeignKey(
                    null=True,
                    on_delete=models.CASCADE,
                    related_name="deliveries",
                    to="notify.webhookendpoint",
                ),
            ),
            ("hook", models.BinaryField(null=True)),
        ],
        options={
            "indexes": [
                models.Index(
                    condition=models.Q(("state", "pending")),
                    fields=["due_at"],
                    name="deliveries_due",
                ),
                models.Index(fields=["endpoint", "-id"], name="deliveries_of_endpoint"),
            ],
            "constraints": [
                models.UniqueConstraint(fields=("fact", "endpoint"), name="fact_once_per_endpoint"),
                models.UniqueConstraint(fields=("fact", "user"), name="fact_once_per_person"),
            ],
        },
    ),
]

# A delivery goes to an endpoint, to a person, or to the address that a task was ordered with.
RECEIVER = models.CheckConstraint(
    condition=models.Q(("endpoint", None), ("user", None))
    | (models.Q(("hook", None)) & (models.Q(("endpoint", None)) ^ models.Q(("user", None)))),
    name="receiver_of_one_kind",
)


class Migration(migrations.Migration):
    initial = True

    replaces = [("notify", name) for name in REPLACED]

    dependencies = [
        ("accounts", "0002_squashed_0025_team_leads"),
        ("outbox", "0001_squashed_0002_people"),
    ]

    operations = [
        CreateModels(TABLES),
        AddConstraintNotValid("delivery", RECEIVER),
    ]
