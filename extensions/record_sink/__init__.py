"""The record sink: usage records, and what the content log keeps if the operator wants that, in
batches, to an object store or an HTTP receiver (docs/operate/record-sink.md)."""

from lib.extensions.extension import Extension

EXTENSION = Extension(
    app="extensions.record_sink",
    settings="extensions.record_sink.settings",
    jobs="extensions.record_sink.jobs:JOBS",
    usage_sink="extensions.record_sink.usage_sink:SINK",
    content_sink="extensions.record_sink.content_sink:SINK",
)
