"""One table for every change that needs two persons; corrections are the first kind in it."""

from typing import Any

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import lib.ids
from billing.currency.money import format_usd
from lib.clock import rfc3339
from lib.ids import id_text


def _move_corrections(apps: Any, editor: Any) -> None:
    """Move the corrections that wait for a second person, or that two have decided."""
    approval_model = apps.get_model("billing", "Approval")
    credits = apps.get_model("billing", "Credit").objects.exclude(state="posted", decided_by=None)
    states = {"waiting": "waiting", "posted": "approved", "refused": "rejected"}
    for credit in credits.select_related("organisation").order_by("id").iterator():
        values = {
            "amount": format_usd(credit.amount_nano),
            "kind": credit.kind,
            "expires_at": rfc3339(credit.expires_at) if credit.expires_at else "",
            "document": credit.document,
        }
        withdrawn = credit.state == "refused" and credit.decided_by_id is None
        approval_model.objects.create(
            kind="correction",
            subject=id_text(credit.id),
            organisation=credit.organisation,
            about=credit.organisation.name,
            changes=[
                {"name": name, "before": None, "after": after}
                for name, after in values.items()
                if after
            ],
            reason=credit.reason,
            state="withdrawn" if withdrawn else states[credit.state],
            asked_by_id=credit.asked_by_id,
            asked_at=credit.asked_at,
            decided_by_id=credit.asked_by_id if withdrawn else credit.decided_by_id,
            decided_at=credit.decided_at,
        )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0030_sign_up_captcha"),
        ("billing", "0060_trial_credit"),
    ]

    operations = [
        migrations.CreateModel(
            name="Approval",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=lib.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("kind", models.CharField(max_length=20)),
                ("subject", models.CharField(max_length=60)),
                (
                    "organisation",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
                ("about", models.CharField(max_length=200)),
                ("changes", models.JSONField()),
                ("reason", models.CharField(blank=True, default="", max_length=500)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("approved", "Approved"),
                            ("rejected", "Rejected"),
                            ("withdrawn", "Withdrawn"),
                        ],
                        default="waiting",
                        max_length=9,
                    ),
                ),
                (
                    "asked_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "asked_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("decided_at", models.DateTimeField(null=True)),
                ("answer", models.CharField(blank=True, default="", max_length=500)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state", "approved"), _negated=True)
                        | models.Q(
                            ("decided_by__isnull", False),
                            models.Q(("decided_by", models.F("asked_by")), _negated=True),
                        ),
                        name="approved_by_another",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "waiting")),
                        fields=("kind", "subject"),
                        name="approval_waits_once",
                    ),
                ],
                "indexes": [
                    models.Index(fields=["kind", "subject", "-id"], name="approvals_of_subject")
                ],
            },
        ),
        migrations.RunPython(_move_corrections, elidable=True),
        migrations.RemoveConstraint(model_name="credit", name="second_person"),
        migrations.RemoveIndex(model_name="credit", name="credits_waiting"),
        migrations.RemoveField(model_name="credit", name="decided_at"),
        migrations.RemoveField(model_name="credit", name="decided_by"),
    ]
