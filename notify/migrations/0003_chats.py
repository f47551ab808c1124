from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notify", "0002_webhook_key")]

    operations = [
        migrations.AddField(
            model_name="webhookendpoint",
            name="service",
            field=models.CharField(
                choices=[
                    ("webhook", "Your server (signed events)"),
                    ("slack", "Slack"),
                    ("feishu", "Feishu or Lark"),
                    ("dingtalk", "DingTalk"),
                    ("wecom", "WeCom"),
                ],
                db_default="webhook",
                default="webhook",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="webhookendpoint",
            name="name",
            field=models.CharField(blank=True, db_default="", default="", max_length=60),
        ),
        migrations.AddField(
            model_name="webhookendpoint",
            name="language",
            field=models.CharField(blank=True, db_default="", default="", max_length=10),
        ),
    ]
