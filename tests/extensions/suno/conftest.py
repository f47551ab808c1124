"""What the tests of the relay use."""

from tests.relay.conftest import _forgotten, authority, balanced_books, fake, hub, other_fake

__all__ = ["_forgotten", "authority", "balanced_books", "fake", "hub", "other_fake"]
