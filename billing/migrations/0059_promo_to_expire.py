from django.db import migrations, models

from lib.database.concurrent_indexes import AddIndexAgain


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("billing", "0058_price_region")]

    operations = [
        AddIndexAgain(
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
