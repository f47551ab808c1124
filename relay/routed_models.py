"""The models that may answer a request: the one that it asks for, or another one that its client
names, where that one fails before any content.

Each has its own candidates, price and hold: who answers is who is paid for.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import msgspec

from dialects.codec import Facts
from dialects.errors import RequestFault
from gateway.providers.suffixes import RequestedModel
from gateway.rules.routing import Skipped
from relay.continuation import Continuation
from relay.error_answers import ChannelsOut
from relay.file_fetching import fetch
from relay.hold_placing import HoldPlacer
from relay.request_context import RequestContext
from relay.request_translator import FetchFiles, RequestTranslator
from relay.routing import RoutedRequest, route


class RoutedModel(NamedTuple):
    """One model that may answer, with its channels, for what it holds."""

    routed: RoutedRequest
    translator: RequestTranslator
    holds: HoldPlacer
    fallback: bool


class RoutedModels:
    """Those of one request; `fallbacks` are the models beside its own, in order. False when none of
    them is left. `skipped` are the channels of those that could not be asked."""

    __slots__ = ("_context", "_continuation", "_facts", "_fallbacks", "_fetch_files", "skipped")

    def __init__(
        self,
        context: RequestContext,
        facts: Facts,
        continuation: Continuation | None,
        fallbacks: Sequence[RequestedModel],
        *,
        fetch_files: FetchFiles = fetch,
    ) -> None:
        self._context = context
        self._facts = facts
        self._continuation = continuation
        self._fallbacks = list(fallbacks)
        self._fetch_files = fetch_files
        self.skipped: list[Skipped] = []

    def __bool__(self) -> bool:
        return bool(self._fallbacks)

    def first(self, model: RequestedModel) -> RoutedModel:
        """The model that is asked for, or the next one where no channel of it can be asked. Raises
        RequestFault, ChannelsOut."""
        try:
            return self._routed_model(self._facts, model, fallback=False)
        except ChannelsOut as out:
            self.skipped += out.skipped
            routed_model = self.next()
            if routed_model is None:
                raise
            return routed_model

    def next(self, *, failed: bool = False) -> RoutedModel | None:
        """The next model that can be asked; `failed`: behind attempts, so that those of its
        channels are out that take no further ones."""
        while self._fallbacks:
            model = self._fallbacks.pop(0)
            # Who answers is who the answer names.
            facts = msgspec.structs.replace(cast(Any, self._facts), model=model.name)
            try:
                routed_model = self._routed_model(facts, model, fallback=True)
            except ChannelsOut as out:
                self.skipped += out.skipped
                continue
            except RequestFault:
                continue
            if failed:
                routed_model = self._unspent(routed_model)
            if routed_model.routed.candidates:
                return routed_model
        return None

    def _routed_model(self, facts: Facts, model: RequestedModel, *, fallback: bool) -> RoutedModel:
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
        return RoutedModel(routed, translator, HoldPlacer(context, routed), fallback)

    def _unspent(self, routed_model: RoutedModel) -> RoutedModel:
        routed, now = routed_model.routed, self._context.parts.health.now()
        channel_ids = {candidate.channel_id for candidate in routed.candidates}
        spent = routed.retry_budget.spent(channel_ids, now)
        if not spent:
            return routed_model
        left = [item for item in routed.candidates if item.channel_id not in spent]
        skipped = [*routed.skipped, *(Skipped(id, "retry_budget") for id in sorted(spent))]
        return routed_model._replace(
            routed=msgspec.structs.replace(routed, candidates=left, skipped=skipped)
        )
