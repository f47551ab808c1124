"""The model that a request names: found in the catalogue, or refused as unknown or not allowed."""

from dialects.errors import RequestFault
from gateway.providers.models import is_listed
from gateway.providers.suffixes import RequestedModel, has_ending, read_requested_model
from relay.request_context import MODEL_LENGTH_MAX, RequestContext


def find_model(context: RequestContext, name: str) -> RequestedModel:
    """The model of this name. Raises RequestFault: `model_not_found` where nothing serves it for
    this client's plan, `permission` where its key may not use it."""
    model = RequestedModel(name)
    if has_ending(name):
        exact = context.snapshot.exact_routes
        model = read_requested_model(name, lambda known: known in exact or is_listed(known))
    _check_model(context, model.name, name)
    return model


def _check_model(context: RequestContext, model: str, name: str) -> None:
    # A pattern meets names that are longer than any catalogue's, and than a row has room for.
    snapshot, principal = context.snapshot, context.principal
    known = len(model) <= MODEL_LENGTH_MAX and snapshot.routes_of(model)
    if not known or (
        principal.plan_id is not None and not snapshot.shows(model, principal.plan_id)
    ):
        raise RequestFault("model_not_found", "model", "", model=name)
    if not principal.may_use(model):
        raise RequestFault("permission", "model", f"model {model}")
