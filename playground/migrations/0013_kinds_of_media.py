from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("playground", "0012_realtime_tickets")]

    operations = [
        migrations.AlterField(
            model_name="mediarun",
            name="kind",
            field=models.CharField(
                choices=[
                    ("image", "Image"),
                    ("speech", "Speech"),
                    ("transcription", "Transcription"),
                    ("video", "Video"),
                    ("music", "Music"),
                    ("midjourney", "Midjourney"),
                ],
                max_length=16,
            ),
        ),
    ]
