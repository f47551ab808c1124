"""The models that a key may ask for: as a list, and one by one."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from billing.prices.meters import format_rate
from dialects.endpoints import models_list
from dialects.endpoints.models_list import ListForm, ModelRow
from dialects.errors.errors import RequestFault
from gateway.channel_order.channel_order import Candidate, plan
from gateway.providers.capabilities import Capabilities
from gateway.providers.lifecycle import shutdown_date
from gateway.providers.models import find_row
from gateway.providers.overrides import UNSAID, apply_overrides
from gateway.providers.parameters import supported_parameters
from relay.catalogue.snapshot import Snapshot
from relay.credentials.keys import Principal
from relay.front.request import Request
from relay.health.channels_out import none_on
from relay.routing.retired_models import retired_fault

_OWNER = "weir"
_MODALITIES = ("text", "image", "audio", "file", "video")


def form_of(path: str, headers: Sequence[tuple[bytes, bytes]], query: bytes) -> ListForm:
    """Return the form that a request wants for the list of models and for errors."""
    names = {name.decode("latin-1") for name, _ in headers}
    return models_list.form_of(path, names, dict(parse_qsl(query.decode("latin-1"))))


async def list_models(request: Request) -> None:
    """Answer with all models, in the client's form."""
    snapshot, principal, query = request.snapshot, request.principal, request.query
    await request.respond(render(snapshot, principal, _form_of(request), query))


async def show_model(request: Request) -> None:
    """Answer with the model that the path names."""
    name = request.invocation.target.model
    await request.respond(render_one(request.snapshot, request.principal, _form_of(request), name))


def _form_of(request: Request) -> ListForm:
    scope = request.scope
    return form_of(scope["path"], scope["headers"], scope["query_string"])


def render(
    snapshot: Snapshot, principal: Principal, form: ListForm, query: Mapping[str, str]
) -> bytes:
    """Return the models with an enabled channel that the key's list permits, sorted by id, without
    those that are refused for lack of a price. A pattern contributes the priced names that match
    it. Raises RequestFault for an invalid page.
    """
    rows = [
        _model_row(snapshot, principal, name)
        for name in snapshot.listed_models()
        if _may_call(snapshot, principal, name) and not _has_ended(snapshot, name)
    ]
    return models_list.encode(rows, form, query)


def render_one(snapshot: Snapshot, principal: Principal, form: ListForm, name: str) -> bytes:
    """Return one model, whether the catalogue lists it or a pattern matches it. Raises
    RequestFault, and ChannelsOut if all its channels are off."""
    off = snapshot.off_channels(name)
    if not (snapshot.routes_of(name) or off) or not _may_call(snapshot, principal, name):
        raise RequestFault("model_not_found", "model", "", model=name)
    if _has_ended(snapshot, name):
        raise retired_fault(snapshot, name)
    if off:
        raise none_on(name, off, snapshot.now())
    return models_list.encode_model(_model_row(snapshot, principal, name), form)


def _may_call(snapshot: Snapshot, principal: Principal, name: str) -> bool:
    return (
        principal.may_use(name)
        and snapshot.shows(name, principal.price_plan_id, principal.role)
        and not snapshot.refuses(name)
    )


def _has_ended(snapshot: Snapshot, name: str) -> bool:
    """Return whether a model is retired. A replacement makes no difference."""
    return bool(snapshot.entries) and snapshot.answering(name) != snapshot.served_name(name)


def _model_row(snapshot: Snapshot, principal: Principal, name: str) -> ModelRow:
    candidate = plan(snapshot.served_name(name), snapshot.routes_of(name), seed=0)[0]
    capabilities = _capabilities(candidate, name)
    price = snapshot.price_of(
        name, snapshot.multiplier_for(name, principal.price_plan_id, principal.multipliers)
    )
    rates = {} if price is None else price.version.visible_rates()
    provider = snapshot.channels[candidate.channel_id].provider.name
    modalities = capabilities.inputs | capabilities.outputs if capabilities is not None else ()
    return ModelRow(
        id=name,
        created=snapshot.created,
        owned_by=(capabilities.owner if capabilities is not None else "") or _OWNER,
        context=None if capabilities is None else capabilities.context_max,
        output_max=None if capabilities is None else capabilities.output_max,
        modalities=tuple(kind for kind in _MODALITIES if kind in modalities),
        parameters=() if capabilities is None else supported_parameters(capabilities),
        shutdown_date=_shutdown_date(snapshot, name)
        or shutdown_date(provider, candidate.upstream_model),
        pricing={meter: format_rate(meter, rate) for meter, rate in sorted(rates.items())},
    )


def _shutdown_date(snapshot: Snapshot, name: str) -> str | None:
    """Return the day on which the operator retires a model."""
    for known in (name, snapshot.served_name(name)):
        entry = snapshot.entries.get(known)
        if entry is not None and entry.sunset_at is not None:
            return datetime.fromtimestamp(entry.sunset_at, UTC).date().isoformat()
    return None


def _capabilities(candidate: Candidate, name: str) -> Capabilities | None:
    """Return the model's known capabilities: of its upstream name at the first channel, or of its
    own name, with the operator's changes."""
    known = find_row(candidate.upstream_model) or find_row(name)
    return apply_overrides(known or UNSAID, candidate.overrides) if candidate.overrides else known
