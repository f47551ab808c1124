from django.db import migrations, models

_KEY = ["model", "kind", "channel", "service_tier", "hours", "region"]


class Migration(migrations.Migration):
    dependencies = [("billing", "0057_cost_of_path")]

    operations = [
        migrations.AlterModelOptions("priceproposal", {"ordering": [*_KEY, "id"]}),
        migrations.RemoveConstraint("price", "price_once"),
        migrations.RemoveConstraint("priceproposal", "proposal_open_once"),
        migrations.AddField(
            "price",
            "region",
            models.CharField(blank=True, db_default="", default="", max_length=40),
        ),
        migrations.AddField(
            "priceproposal",
            "region",
            models.CharField(blank=True, db_default="", default="", max_length=40),
        ),
        migrations.AddConstraint("price", models.UniqueConstraint(fields=_KEY, name="price_once")),
        migrations.AddConstraint(
            "priceproposal",
            models.UniqueConstraint(
                fields=[*_KEY, "source"],
                condition=models.Q(state__in=["open", "second"]) & ~models.Q(source="draft"),
                name="proposal_open_once",
            ),
        ),
    ]
