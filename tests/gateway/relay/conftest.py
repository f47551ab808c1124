from tests.gateway.relay.clients import clients
from tests.hub import fake, hub, other_fake, own_hub

__all__ = ["clients", "fake", "hub", "other_fake", "own_hub"]
