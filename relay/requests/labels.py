"""A client's labels of a request, for grouping and budgets: `x-weir-labels`.

{"project": "search", "tags": ["beta", "eu"], "customer": "c-42"}
"""

from collections.abc import Iterator
from typing import Annotated, Final, NamedTuple

import msgspec

from accounts.names.labels import LABEL_LENGTH, is_label
from dialects.errors.errors import RequestFault
from dialects.json.not_json import NOT_JSON

LABELS_HEADER: Final = "x-weir-labels"
TAGS_MAX: Final = 20
"""The maximum number of tags of a request."""


class Labels(NamedTuple):
    """Labels of one request; "" and () = none."""

    project: str = ""
    tags: tuple[str, ...] = ()
    customer: str = ""


class Attribution(msgspec.Struct, frozen=True):
    """The labels that a request is recorded under. `tags` is JSON text, None without any."""

    project: str
    tags: str | None
    customer: str
    client_app: str


class _Labels(msgspec.Struct, forbid_unknown_fields=True):
    project: str | None = None
    tags: Annotated[tuple[str, ...], msgspec.Meta(max_length=TAGS_MAX)] = ()
    customer: str | None = None


NO_LABELS: Final = Labels()
_labels = msgspec.json.Decoder(_Labels)


def read_labels(header: bytes) -> Labels:
    """Parse the labels in the header. Raises RequestFault: `invalid_type` for another structure,
    `invalid_value` for a value that neither a key's tag nor a budget could have.
    """
    try:
        labels = _labels.decode(header)
    except NOT_JSON as error:
        raise RequestFault(
            "invalid_type",
            LABELS_HEADER,
            f'{LABELS_HEADER} must be a JSON object such as {{"project": "search", '
            f'"tags": ["beta"], "customer": "c-42"}}: {error}',
        ) from None
    for name, label in _iterate_labels(labels):
        if not is_label(label):
            what = f"must have 1 to {LABEL_LENGTH} visible characters and no space at an end"
            raise RequestFault("invalid_value", LABELS_HEADER, f"{name} in {LABELS_HEADER} {what}")
    return Labels(labels.project or "", labels.tags, labels.customer or "")


def _iterate_labels(labels: _Labels) -> Iterator[tuple[str, str]]:
    """Yield every label with its position in the header."""
    for place, tag in enumerate(labels.tags):
        yield f"tags[{place}]", tag
    for name, label in (("project", labels.project), ("customer", labels.customer)):
        if label is not None:
            yield name, label
