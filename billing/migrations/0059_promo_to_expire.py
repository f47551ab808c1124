from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("billing", "0058_price_region")]

    operations = [
        AddIndexConcurrently(
            model_name="promogrant",
            index=models.Index(
                condition=models.Q(
                    ("amount_nano__gt", models.F("consumed_nano") + models.F("expired_nano"))
                ),
                fields=["expires_at"],
                name="promo_to_expire",
            ),
        ),
    ]
