from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0021_channel_overrides")]

    operations = [
        migrations.AddField(
            model_name="channel",
            name="proxy_url",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
        migrations.AddField(
            model_name="channel", name="proxy_login", field=models.BinaryField(null=True)
        ),
        migrations.AddField(
            model_name="channel",
            name="ca_bundle",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddField(
            model_name="channel",
            name="client_cert",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddField(
            model_name="channel", name="client_key", field=models.BinaryField(null=True)
        ),
        migrations.AddField(
            model_name="route",
            name="timeouts",
            field=models.JSONField(
                db_default=models.Value({}, output_field=models.JSONField()),
                default=dict,
                help_text="Seconds, of those that are not the channel's.",
            ),
        ),
    ]
