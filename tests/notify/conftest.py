from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from tests.notify.receiver import Receiver, receiver


@pytest.fixture
def server(settings: LazySettings) -> Iterator[Receiver]:
    """A receiver of webhooks on this machine, which the operator permits."""
    settings.WEBHOOK_EGRESS_ALLOW = ["127.0.0.1/32"]
    with receiver() as message:
        yield message
