from tests.gateway.relay.clients import clients
from tests.hub import authority, fake, hub, other_fake, own_hub

__all__ = ["authority", "clients", "fake", "hub", "other_fake", "own_hub"]
