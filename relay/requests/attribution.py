"""Whom a request is counted to in reports: the labels that hold for it, and its application."""

from typing import NamedTuple

import msgspec

from relay.credentials.keys import Principal
from relay.requests.labels import NO_LABELS, Labels


class Attribution(NamedTuple):
    """As the rows of attempts and refusals have it: `tags` is JSON text, None where there are
    none."""

    project: str
    tags: str | None
    customer: str
    client_app: str


def attribution_of(principal: Principal, labels: Labels, client_app: str) -> Attribution:
    """By the labels that budgets go by: the request's own project before its key's, the tags of
    both."""
    if labels is NO_LABELS and not principal.tags:
        return Attribution(principal.project, None, "", client_app)
    tags = tuple(dict.fromkeys((*principal.tags, *labels.tags)))
    return Attribution(
        labels.project or principal.project,
        msgspec.json.encode(tags).decode() if tags else None,
        labels.customer,
        client_app,
    )
