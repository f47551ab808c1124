from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0069_invoice_due_nano")]

    operations = [
        migrations.AddField(
            model_name="invoice",
            name="charged_nano",
            field=models.BigIntegerField(null=True),
        ),
    ]
