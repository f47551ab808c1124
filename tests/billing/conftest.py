"""Who moves money in these tests, and the card company that is asked."""

from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from accounts.access.actors import Actor
from tests.fakes.processor import SECRET_KEY, WEBHOOK_SECRET, FakeProcessor, fake_processor
from tests.support import cast
from tests.support.lock_order import wallets_locked_first
from tests.support.statement_forms import form

__all__ = ["form"]


@pytest.fixture
def alice(people: cast.Cast) -> Actor:
    return cast.actor(people.alice, people.acme)


@pytest.fixture
def bob(people: cast.Cast) -> Actor:
    return cast.actor(people.bob, people.acme)


@pytest.fixture
def dora(people: cast.Cast) -> Actor:
    return cast.actor(people.dora)


@pytest.fixture
def bank(settings: LazySettings) -> Iterator[FakeProcessor]:
    with fake_processor() as bank:
        settings.STRIPE_SECRET_KEY = SECRET_KEY
        settings.STRIPE_WEBHOOK_SECRET = WEBHOOK_SECRET
        settings.STRIPE_API_BASE = bank.url
        yield bank


@pytest.fixture(autouse=True)
def _wallets_locked_first() -> Iterator[None]:
    with wallets_locked_first():
        yield
