from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0018_removed_budgets")]

    operations = [
        migrations.AlterModelOptions(
            name="priceproposal",
            options={
                "ordering": ["model", "kind", "channel", "service_tier", "hours", "id"],
            },
        ),
        migrations.RemoveConstraint(model_name="priceproposal", name="proposal_open_once"),
        migrations.AddConstraint(
            model_name="priceproposal",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("state__in", ["open", "second"]), models.Q(("source", "draft"), _negated=True)
                ),
                fields=("model", "kind", "channel", "service_tier", "hours", "source"),
                name="proposal_open_once",
            ),
        ),
    ]
