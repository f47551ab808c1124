from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0009_egress_of_users")]

    operations = [
        migrations.AddField(
            model_name="channel",
            name="archived_at",
            field=models.DateTimeField(help_text="Put away: off, and in no list.", null=True),
        ),
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.CheckConstraint(
                condition=models.Q(archived_at=None) | models.Q(enabled=False),
                name="archived_channel_is_off",
            ),
        ),
        migrations.AddField(
            model_name="channelkey",
            name="created_at",
            field=models.DateTimeField(help_text="Null: before this was kept.", null=True),
        ),
        migrations.AddField(
            model_name="channelkey",
            name="disabled_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="route",
            name="priority",
            field=models.IntegerField(help_text="Null: the channel's.", null=True),
        ),
        migrations.AddField(
            model_name="route",
            name="weight",
            field=models.PositiveIntegerField(help_text="Null: the channel's.", null=True),
        ),
    ]
