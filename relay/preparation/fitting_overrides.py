"""Which of a channel's overrides are for a request: those of rules depend on the model, the
endpoint, and the organisation or team."""

from gateway.channels.overrides.rules import OverriddenRequest, RequestOverrides
from relay.context.context import RequestContext


def fit_overrides(
    context: RequestContext, overrides: RequestOverrides, model: str
) -> RequestOverrides:
    """Return the channel's changes to a request for a model, by its name in the catalogue."""
    if not overrides.when:
        return overrides
    principal = context.principal
    holders = (principal.team_id, principal.organisation_id)
    teams = [name for name, id in context.snapshot.holder_ids.items() if id in holders]
    return overrides.fitting(OverriddenRequest(model, context.invocation.operation, teams))
