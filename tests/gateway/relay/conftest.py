from tests.hub import fake, hub, other_fake, own_hub

__all__ = ["fake", "hub", "other_fake", "own_hub"]
