"""Prices of costs, service tiers and hours; plans of organisations; proposals of prices."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import lib.ids


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_cache"),
        ("billing", "0004_process_leases_and_marks"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="OrganisationPlan",
            fields=[
                (
                    "organisation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="accounts.organisation",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Plan",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=120, unique=True)),
                ("multiplier_ppm", models.BigIntegerField(default=1000000)),
                (
                    "model_patterns",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200),
                        blank=True,
                        default=list,
                        size=None,
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="PriceProposal",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=lib.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("model", models.CharField(max_length=200)),
                (
                    "kind",
                    models.CharField(
                        choices=[("charge", "Charge"), ("cost", "Cost")],
                        default="charge",
                        max_length=6,
                    ),
                ),
                ("channel", models.CharField(blank=True, default="", max_length=120)),
                ("service_tier", models.CharField(blank=True, default="", max_length=40)),
                ("hours", models.CharField(blank=True, default="", max_length=11)),
                (
                    "valid_from",
                    models.DateTimeField(help_text="null: from the acceptance on", null=True),
                ),
                ("rates", models.JSONField(null=True)),
                ("replaces", models.JSONField(null=True)),
                ("source", models.CharField(max_length=60)),
                ("note", models.CharField(blank=True, default="", max_length=500)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("second", "Second"),
                            ("accepted", "Accepted"),
                            ("ignored", "Ignored"),
                        ],
                        default="open",
                        max_length=8,
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("decided_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["model", "kind", "channel", "service_tier", "hours"],
            },
        ),
        migrations.AddField(
            model_name="price",
            name="channel",
            field=models.CharField(blank=True, db_default="", default="", max_length=120),
        ),
        migrations.AddField(
            model_name="price",
            name="hours",
            field=models.CharField(blank=True, db_default="", default="", max_length=11),
        ),
        migrations.AddField(
            model_name="price",
            name="kind",
            field=models.CharField(
                choices=[("charge", "Charge"), ("cost", "Cost")],
                db_default="charge",
                default="charge",
                max_length=6,
            ),
        ),
        migrations.AddField(
            model_name="price",
            name="service_tier",
            field=models.CharField(blank=True, db_default="", default="", max_length=40),
        ),
        migrations.AlterField(
            model_name="price",
            name="model",
            field=models.CharField(max_length=200),
        ),
        migrations.AddConstraint(
            model_name="price",
            constraint=models.UniqueConstraint(
                fields=("model", "kind", "channel", "service_tier", "hours"), name="price_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="price",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind", "cost"), ("channel", ""), _connector="OR"),
                name="charge_has_no_channel",
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(("multiplier_ppm__gte", 0), ("multiplier_ppm__lte", 1000000000)),
                name="plan_multiplier_in_range",
            ),
        ),
        migrations.AddField(
            model_name="organisationplan",
            name="plan",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="organisations",
                to="billing.plan",
            ),
        ),
        migrations.AddField(
            model_name="priceproposal",
            name="decided_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="priceproposal",
            name="first_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="priceproposal",
            name="made_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="priceproposal",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["open", "second"])),
                fields=("model", "kind", "channel", "service_tier", "hours", "source"),
                name="proposal_open_once",
            ),
        ),
    ]
