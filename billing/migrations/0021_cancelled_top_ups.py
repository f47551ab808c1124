from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0020_never_emptied"),
    ]

    operations = [
        migrations.AlterField(
            model_name="topup",
            name="state",
            field=models.CharField(
                choices=[
                    ("ordered", "Ordered"),
                    ("pending", "Pending"),
                    ("paid", "Paid"),
                    ("failed", "Failed"),
                    ("expired", "Expired"),
                    ("cancelled", "Cancelled"),
                ],
                default="ordered",
                max_length=9,
            ),
        ),
    ]
