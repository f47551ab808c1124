"""Access to models: operators can access all of them, others none."""

from django.http import Http404

from accounts.access.access import require
from accounts.access.actors import Actor
from gateway.listed_models.public_models import PublicModel, public_model, public_models


def visible_models(actor: Actor) -> list[PublicModel]:
    """Return every name that a client can request, by name; then the patterns."""
    require(actor, "channels.read")
    return public_models()


def access_model(actor: Actor, name: str) -> PublicModel:
    """Return a model, including one that only a pattern matches. Raises Http404."""
    require(actor, "channels.read")
    model = None if "*" in name else public_model(name)
    if model is None:
        raise Http404
    return model
