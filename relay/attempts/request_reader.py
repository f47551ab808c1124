"""Read as much of a client's body as the relay needs, and find its model in the catalogue. An
unknown model, or one that the key may not use, is refused."""

from contextlib import suppress

import msgspec

from dialects.codec import Facts
from dialects.errors.errors import RequestFault
from dialects.json.body import check_nested_names, read_body
from dialects.json.fallback_models import read_fallbacks
from gateway.providers.models import is_listed
from gateway.providers.suffixes import RequestedModel, has_ending, read_requested_model
from gateway.routing.model_rule_bounds import FAILURES
from lib.id_types import ModelName
from relay.attempts.next_attempts import NO_FALLBACKS, Fallbacks
from relay.catalogue.snapshot import Snapshot
from relay.context.context import RequestContext
from relay.operations.unary import UnaryFacts
from relay.requests.invocation import MODEL_LENGTH_MAX, Invocation
from relay.requests.labels import LABELS_HEADER
from relay.routing.retired_models import answering_model


class RequestReader:
    """Reads one request."""

    __slots__ = ("_context", "_found", "_named", "stream")

    def __init__(self, context: RequestContext) -> None:
        self._context = context
        # The model's name as far as it is known, and whether the catalogue has it.
        self._named = context.invocation.target.model
        self._found = False
        self.stream = context.invocation.target.stream

    @property
    def model_name(self) -> str:
        """The model's name in the catalogue, "" for an unknown one. Reports and filters group by
        the names in records, so names that clients invent must not be recorded."""
        if not self._found:
            try:
                self._look_up(self._named)
            except RequestFault as fault:
                if fault.kind == "model_not_found":
                    return ""
        return self._named

    def take_name(self, name: ModelName) -> None:
        """Use a name that the path gives and no catalogue has, and treat it as known."""
        self._named, self._found = name, True

    def check_labels(self) -> None:
        """Check that the request has the required labels. Raises RequestFault."""
        if self._context.principal.required_labels:
            self._check_labels()

    def read_facts(self, raw: bytes) -> Facts:
        """Read the facts of a body. Raises RequestFault."""
        invocation = self._context.invocation
        try:
            reader = invocation.codec if invocation.unary is None else invocation.unary
            facts: Facts = reader.read(raw, invocation.target)
            check_nested_names(raw)
        except RequestFault as fault:
            # The contract's order: check that the model exists before checking other fields.
            if fault.param not in (None, "model"):
                self._named = _read_model_name(invocation, raw)
                self._look_up(self._named)
            raise
        self._named, self.stream = facts.model, facts.stream
        return facts

    def find_model(self, name: str) -> RequestedModel:
        """Return the model of a name. Raises RequestFault: `model_not_found` if nothing serves it
        for this client's plan, `permission` if its key may not use it, `missing_parameter` if the
        request lacks a required label.
        """
        model = self._look_up(name)
        self._named, self._found = model.name, True
        self.check_labels()
        return model

    def find_fallbacks(self, facts: Facts, model: RequestedModel) -> Fallbacks:
        """Return the fallback models: those that the client names, else those of the operators'
        rule. Raises RequestFault like `find_model` for the client's models, so that a misspelt name
        is reported before it is needed."""
        if "models" not in facts.body.members:
            return (
                self._ruled_fallbacks(facts, model)
                if self._context.snapshot.rules
                else NO_FALLBACKS
            )
        if isinstance(facts, UnaryFacts):
            what = "models is for requests that generate text: their fallbacks answer alike"
            raise RequestFault("unsupported_capability", "models", what)
        named = read_fallbacks(facts.body)
        if named is None:
            return self._ruled_fallbacks(facts, model)
        models = {model.name: model}
        for name in named:
            other = self._look_up(name, "models")
            models.setdefault(other.name, other)
        return Fallbacks(list(models.values())[1:], FAILURES)

    def _ruled_fallbacks(self, facts: Facts, model: RequestedModel) -> Fallbacks:
        """Return the fallback models of the operators' rule that the key may use and that are
        served now.
        """
        rule = self._context.snapshot.rule_of(model.name)
        if not rule.fallbacks or isinstance(facts, UnaryFacts):
            return NO_FALLBACKS
        models = {model.name: model}
        for name in rule.fallbacks:
            with suppress(RequestFault):
                other = self._look_up(name)
                if self._context.snapshot.routes_of(other.name):
                    models.setdefault(other.name, other)
        return Fallbacks(list(models.values())[1:], rule.causes, "fallback_rule")

    def _look_up(self, name: str, param: str = "model") -> RequestedModel:
        """Return the model of a name, or of another name that it has in the client's cloud; the
        client's is then its alias. Raises RequestFault.
        """
        snapshot = self._context.snapshot
        if not snapshot.routes_of(name):
            for other in self._context.invocation.codec.other_names(name):
                if snapshot.routes_of(other) or snapshot.off_channels(other):
                    model = self._look_up_exact(other, param)
                    return msgspec.structs.replace(model, alias=name[:MODEL_LENGTH_MAX])
        return self._look_up_exact(name, param)

    def _look_up_exact(self, name: str, param: str) -> RequestedModel:
        snapshot, principal = self._context.snapshot, self._context.principal
        model = read_name(snapshot, name)
        # Patterns match names that are longer than any in a catalogue, and than a column.
        known = len(model.name) <= MODEL_LENGTH_MAX and (
            snapshot.routes_of(model.name)
            or snapshot.has_ended(model.name)
            # It is told as unavailable, after what the caller can change (`none_on`).
            or snapshot.off_channels(model.name)
        )
        requested, price_plan_id = model.name, principal.price_plan_id
        if not known or (
            (price_plan_id is not None or snapshot.entries)
            and not snapshot.shows(requested, price_plan_id, principal.role)
        ):
            raise RequestFault("model_not_found", param, "", model=name)
        if not principal.may_use(model.name):
            what = f"model {principal.explain_model(model.name)}"
            raise RequestFault("permission", param, what)
        # Permission is checked by the requested name; properties and price are those of its target.
        if snapshot.entries:
            served = answering_model(snapshot, requested, param)
        else:
            served = snapshot.aliases.get(requested, requested) if snapshot.aliases else requested
        if served == requested:
            return model
        return msgspec.structs.replace(model, name=served, alias=requested)

    def _check_labels(self) -> None:
        missing = self._context.principal.missing_labels(self._context.options.labels)
        if self._context.source == "playground":
            # A page cannot send a tag or a customer; its records have the person.
            missing = [name for name in missing if name == "project"]
        if not missing:
            return
        what = f"{missing[0]} in {LABELS_HEADER} is required by your organisation, team or key"
        raise RequestFault("missing_parameter", LABELS_HEADER, what)


def read_name(snapshot: Snapshot, name: str) -> RequestedModel:
    """Return the model of a client's name, without the suffix that sets the thinking effort."""
    if not has_ending(name):
        return RequestedModel(ModelName(name))
    exact, aliases = snapshot.exact_routes, snapshot.aliases
    return read_requested_model(
        name, lambda known: known in exact or known in aliases or is_listed(known)
    )


def _read_model_name(invocation: Invocation, raw: bytes) -> str:
    """Return the model that a body names, even if the body cannot be parsed completely. Raises
    RequestFault."""
    if invocation.target.model:
        return invocation.target.model
    unary, body = invocation.unary, read_body(raw)
    default, fields = (
        ("", ("model",)) if unary is None else (unary.default_model, unary.model_fields)
    )
    named = next((body.value(name) for name in fields if name in body.members), None)
    if named is None and default:
        return default
    if named is None or not named.startswith(b'"'):
        raise RequestFault("missing_parameter", fields[0], f"{fields[0]} is required")
    model: str = msgspec.json.decode(named, type=str)
    return model
