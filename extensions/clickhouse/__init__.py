"""ClickHouse: a second copy of the usage records, from which long reports are read
(docs/operate/scale.md)."""

from lib.extensions.extension import Extension

EXTENSION = Extension(
    app="extensions.clickhouse",
    settings="extensions.clickhouse.settings",
    jobs="extensions.clickhouse.jobs:JOBS",
    usage_sink="extensions.clickhouse.usage_sink:SINK",
)
