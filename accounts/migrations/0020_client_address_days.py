"""How long an organisation wants it kept from which address each request came."""

from django.db import migrations, models

_BOUNDED = "organisation_addresses_bounded"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0019_data_policy")]

    operations = [
        migrations.AddField(
            model_name="organisation",
            name="client_address_days",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                help_text="How long it is kept from which address each request came; "
                "0 keeps nothing.",
            ),
        ),
        migrations.AddConstraint(
            model_name="organisation",
            constraint=models.CheckConstraint(
                condition=models.Q(client_address_days__lte=365), name=_BOUNDED
            ),
        ),
    ]
