"""Rollups keep the times of requests. What was summed before has none until
`manage.py rebuild_rollups` has run."""

from typing import Any

from django.db import migrations, models

import usage.models


def times(model: str) -> list[migrations.AddField]:
    fields: dict[str, models.Field[Any, Any]] = {
        "total_histogram": usage.models.HistogramField(null=True),
        "ttft_histogram": usage.models.HistogramField(null=True),
        "timed_tokens": models.BigIntegerField(null=True),
        "timed_ms": models.BigIntegerField(null=True),
    }
    return [
        migrations.AddField(model_name=model, name=name, field=field)
        for name, field in fields.items()
    ]


class Migration(migrations.Migration):
    dependencies = [("usage", "0035_clickhouse")]

    operations = [*times("rollup"), *times("hourrollup"), *times("dayrollup")]
