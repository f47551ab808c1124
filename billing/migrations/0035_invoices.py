import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import lib.ids

# Who closes sets the state, the number and the rest of a document in one statement; from then on
# neither it nor its lines change, whoever asks (I18).
_GUARDS = """
    CREATE FUNCTION weir_closed_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.state = 'closed' THEN
            RAISE EXCEPTION 'a closed % is written once: % is refused', OLD.kind, TG_OP
                USING ERRCODE = 'restrict_violation',
                      HINT = 'Correct it by a credit or debit note.';
        END IF;
        IF TG_OP = 'DELETE' THEN
            RETURN OLD;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON billing_invoice
        FOR EACH ROW EXECUTE FUNCTION weir_closed_invoice();

    CREATE FUNCTION weir_closed_invoice_line() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM billing_invoice WHERE state = 'closed' AND id IN (
                CASE WHEN TG_OP <> 'INSERT' THEN OLD.invoice_id END,
                CASE WHEN TG_OP <> 'DELETE' THEN NEW.invoice_id END))
        THEN
            RAISE EXCEPTION 'a line of a closed document is written once: % is refused', TG_OP
                USING ERRCODE = 'restrict_violation',
                      HINT = 'Correct it by a credit or debit note.';
        END IF;
        IF TG_OP = 'DELETE' THEN
            RETURN OLD;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER written_once BEFORE INSERT OR UPDATE OR DELETE ON billing_invoiceline
        FOR EACH ROW EXECUTE FUNCTION weir_closed_invoice_line();

    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON billing_invoice
        FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once();
    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON billing_invoiceline
        FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once();
"""
_UNGUARDED = """
    DROP TRIGGER never_emptied ON billing_invoiceline;
    DROP TRIGGER never_emptied ON billing_invoice;
    DROP TRIGGER written_once ON billing_invoiceline;
    DROP FUNCTION weir_closed_invoice_line();
    DROP TRIGGER written_once ON billing_invoice;
    DROP FUNCTION weir_closed_invoice();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0019_data_policy"),
        ("billing", "0028_holds_beside_their_end"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BuyerDetail",
            fields=[
                (
                    "legal_name",
                    models.CharField(
                        blank=True, default="", max_length=200, verbose_name="Legal name"
                    ),
                ),
                (
                    "address",
                    models.TextField(
                        blank=True, default="", max_length=500, verbose_name="Address"
                    ),
                ),
                (
                    "country",
                    models.CharField(blank=True, default="", max_length=2, verbose_name="Country"),
                ),
                (
                    "tax_id",
                    models.CharField(blank=True, default="", max_length=40, verbose_name="Tax ID"),
                ),
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
                ("zone", models.CharField(default="UTC", max_length=64)),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="InvoiceCounter",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "series",
                        "year",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("series", models.CharField(max_length=3)),
                ("year", models.SmallIntegerField()),
                ("last", models.IntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Invoice",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=lib.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("invoice", "Invoice"),
                            ("credit_note", "Credit note"),
                            ("debit_note", "Debit note"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("proposed", "Proposed"),
                            ("closed", "Closed"),
                        ],
                        default="draft",
                        max_length=8,
                    ),
                ),
                ("number", models.CharField(max_length=24, null=True, unique=True)),
                ("reason", models.CharField(blank=True, default="", max_length=500)),
                ("month", models.DateField()),
                ("zone", models.CharField(max_length=64)),
                ("from_at", models.DateTimeField()),
                ("until_at", models.DateTimeField()),
                ("currency", models.CharField(default="USD", max_length=3)),
                ("seller", models.JSONField(default=dict)),
                ("buyer", models.JSONField(default=dict)),
                ("movement", models.JSONField(default=list)),
                ("net_nano", models.BigIntegerField(default=0)),
                ("tax_nano", models.BigIntegerField(default=0)),
                ("rounding_nano", models.BigIntegerField(default=0)),
                ("total_nano", models.BigIntegerField(default=0)),
                ("checksum", models.CharField(blank=True, default="", max_length=64)),
                (
                    "drafted_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("proposed_at", models.DateTimeField(null=True)),
                ("closed_at", models.DateTimeField(null=True)),
                (
                    "closed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "corrects",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="notes",
                        to="billing.invoice",
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
                (
                    "proposed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="InvoiceLine",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("n", models.IntegerField()),
                ("kind", models.CharField(max_length=12)),
                ("amount_nano", models.BigIntegerField()),
                ("project", models.CharField(blank=True, default="", max_length=120)),
                ("team", models.CharField(blank=True, default="", max_length=120)),
                ("model", models.CharField(blank=True, default="", max_length=200)),
                ("meter", models.CharField(blank=True, default="", max_length=80)),
                ("rate_nano_per_million", models.BigIntegerField(default=0)),
                ("multiplier_ppm", models.BigIntegerField(default=1000000)),
                ("quantity", models.BigIntegerField(default=0)),
                ("origin", models.DateField(null=True)),
                ("rate_ppm", models.IntegerField(default=0)),
                ("text", models.CharField(blank=True, default="", max_length=700)),
                (
                    "invoice",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="lines",
                        to="billing.invoice",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SellerDetail",
            fields=[
                (
                    "legal_name",
                    models.CharField(
                        blank=True, default="", max_length=200, verbose_name="Legal name"
                    ),
                ),
                (
                    "address",
                    models.TextField(
                        blank=True, default="", max_length=500, verbose_name="Address"
                    ),
                ),
                (
                    "country",
                    models.CharField(blank=True, default="", max_length=2, verbose_name="Country"),
                ),
                (
                    "tax_id",
                    models.CharField(blank=True, default="", max_length=40, verbose_name="Tax ID"),
                ),
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="one_seller")
                ],
            },
        ),
        migrations.CreateModel(
            name="TaxRate",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=60)),
                ("country", models.CharField(blank=True, default="", max_length=2)),
                ("rate_ppm", models.IntegerField()),
                ("valid_from", models.DateField()),
                ("reverse_charge_text", models.CharField(blank=True, default="", max_length=500)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("name", "country", "valid_from"), name="tax_rate_once_a_day"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("rate_ppm__gte", 0), ("rate_ppm__lte", 1000000)),
                        name="tax_rate_is_a_share",
                    ),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="invoice",
            index=models.Index(fields=["organisation", "-id"], name="invoices_of_organisation"),
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "invoice")),
                fields=("organisation", "month"),
                name="invoice_once_a_month",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "closed"), _negated=True),
                    models.Q(
                        ("closed_by__isnull", False),
                        ("number__isnull", False),
                        ("proposed_by__isnull", False),
                        models.Q(("closed_by", models.F("proposed_by")), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="invoice_closed_by_two",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoiceline",
            constraint=models.UniqueConstraint(fields=("invoice", "n"), name="invoice_line_once"),
        ),
        migrations.RunSQL(_GUARDS, _UNGUARDED),
    ]
