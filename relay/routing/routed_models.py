"""The models that may answer a request: the requested one, or fallbacks that the client or the
operator names, if the request fails before any content. Each has its own candidates, price and
hold. The model that answers is charged."""

import dataclasses
from collections.abc import Awaitable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from dialects.codec import Facts
from dialects.errors.errors import RequestFault
from gateway.providers.suffixes import RequestedModel
from gateway.routing.channel_order import Candidate, Skipped
from gateway.routing.model_rule_bounds import Cause
from relay.health.channels_out import ChannelsOut
from relay.holds.place_hold import HoldPlacer
from relay.requests.context import RequestContext
from relay.requests.continuation import Continuation
from relay.requests.file_fetching import fetch
from relay.requests.prepared import PreparedRequest
from relay.requests.translator import FetchFiles, RequestTranslator
from relay.routing.routing import RoutedRequest, route
from usage.requests.choices import Why


class Fallbacks(NamedTuple):
    """Fallback models in order, each used for one of `causes`. `why` is the reason to record for
    the first attempt with one."""

    models: Sequence[RequestedModel] = ()
    causes: frozenset[Cause] = frozenset()
    why: Why = "model_fallback"


NO_FALLBACKS: Final = Fallbacks()


class Translator(Protocol):
    """Returns a request in the form of each of its candidates: see `RequestTranslator`."""

    continuation: Continuation | None

    def prepare(self, candidate: Candidate) -> Awaitable[PreparedRequest]: ...


class RoutedModel(msgspec.Struct, frozen=True):
    """A model that may answer, with its channels and the data for the hold. `why` is the reason to
    use it: None for the requested model."""

    routed: RoutedRequest
    translator: Translator
    holds: HoldPlacer
    why: Why | None


class RoutedModels:
    """The models of one request. `fallbacks` are the models besides the requested one, `causes` the
    failures that they cover, `skipped` the channels that could not be used. False in a condition if
    no fallback is left."""

    __slots__ = (
        "_context",
        "_continuation",
        "_facts",
        "_fetch_files",
        "_left",
        "_requested",
        "_why",
        "causes",
        "skipped",
    )

    def __init__(
        self,
        context: RequestContext,
        facts: Facts,
        continuation: Continuation | None,
        fallbacks: Fallbacks,
        *,
        fetch_files: FetchFiles = fetch,
    ) -> None:
        self._context = context
        self._facts = facts
        self._continuation = continuation
        self._left = fallbacks.models
        self._why = fallbacks.why
        # The requested name, which the rows have if another model answers.
        self._requested = ""
        self.causes = fallbacks.causes
        self._fetch_files = fetch_files
        self.skipped: Sequence[Skipped] = ()

    def __bool__(self) -> bool:
        return bool(self._left)

    @property
    def on_error(self) -> bool:
        """Whether a fallback is left that covers unavailable channels and failures."""
        return bool(self._left) and "error" in self.causes

    def first(self, model: RequestedModel) -> RoutedModel:
        """Return the requested model, or the next one if none of its channels is available. Raises
        RequestFault, ChannelsOut.
        """
        facts = self._facts
        if model.alias:
            facts = _naming(facts, model)
        self._requested = model.alias or (model.name if self._left else "")
        try:
            return self._routed_model(facts, model, None)
        except ChannelsOut as out:
            self.skipped = (*self.skipped, *out.skipped)
            routed_model = self.next() if self.on_error else None
            if routed_model is None:
                raise
            return routed_model

    def next(self, *, failed: bool = False, why: Why | None = None) -> RoutedModel | None:
        """Return the next model that can be used. `failed`: attempts were made, so channels without
        retry budget are left out. `why` replaces the reason of the fallbacks."""
        while self._left:
            model, *self._left = self._left
            try:
                facts = _naming(self._facts, model)
                routed_model = self._routed_model(facts, model, why or self._why)
            except ChannelsOut as out:
                self.skipped = (*self.skipped, *out.skipped)
                continue
            except RequestFault:
                continue
            if failed:
                routed_model = self._unspent(routed_model)
            if routed_model.routed.candidates:
                return routed_model
        return None

    def _routed_model(self, facts: Facts, model: RequestedModel, why: Why | None) -> RoutedModel:
        context = self._context
        routed = route(context, facts, model)
        cap_max = routed.cap_max(context.parts.config.output_tokens_assumed)
        translator = RequestTranslator(
            context,
            facts,
            model,
            cap_max=cap_max,
            continuation=self._continuation,
            fetch_files=self._fetch_files,
        )
        alias = self._requested if why is not None else model.alias
        return RoutedModel(routed, translator, HoldPlacer(context, routed, alias), why)

    def _unspent(self, routed_model: RoutedModel) -> RoutedModel:
        routed, now = routed_model.routed, self._context.parts.health.now()
        channel_ids = {candidate.channel_id for candidate in routed.candidates}
        spent = routed.retry_budget.spent(channel_ids, now)
        if not spent:
            return routed_model
        left = [item for item in routed.candidates if item.channel_id not in spent]
        skipped = [*routed.skipped, *(Skipped(id, "retry_budget") for id in sorted(spent))]
        return msgspec.structs.replace(
            routed_model, routed=msgspec.structs.replace(routed, candidates=left, skipped=skipped)
        )


def _naming(facts: Facts, model: RequestedModel) -> Facts:
    """Return the facts with this model's name, because the answer names the model that answered."""
    is_struct = isinstance(facts, msgspec.Struct)
    change: Any = msgspec.structs.replace if is_struct else dataclasses.replace
    named: Facts = change(facts, model=model.name)
    return named
