"""The probe of a model: small real calls through a channel that test its capabilities.

The results become proposals. Their cost at the provider is stored with the result, and nobody is
billed.

The probe runs while its operator waits, like the test of one channel and the list of a provider's
models. Its calls run concurrently, so it takes as long as the slowest one: usually seconds, at most
two minutes. No database connection is held meanwhile. Work with consecutive calls (the test of all
channels, the schedules) is a job.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal, cast, get_args

from django.db import connection, transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from gateway.catalogue.model_proposals import PROBE, propose_probed
from gateway.channels.channel_tests.calls import ChannelCheck, call
from gateway.channels.channel_tests.channel_test import (
    cost_of,
    new_result,
    served_regions,
    stored_form,
    target_of,
    upstream_name,
)
from gateway.channels.channel_tests.variants import Variant
from gateway.listed_models.public_models import PublicModel
from gateway.model_entries.facts import Field
from gateway.models import Channel, ModelEntry
from gateway.settings.installation import egress_policy
from lib import clock
from lib.refusal import Refused
from lib.vault import VaultError

Try = Literal["streamed", "tools", "schema", "vision", "files", "audio", "reasoning"]
TRIES: Final[tuple[Try, ...]] = get_args(Try)
"""What a probe can test. All except streaming are capabilities of the same name."""
_CAPABILITIES: Final[Mapping[Try, Field]] = {
    "tools": "tools",
    "schema": "schema",
    "vision": "vision",
    "files": "files",
    "audio": "audio",
    "reasoning": "reasoning",
}
# The faults that show that the model lacks the capability: the provider accepted the request
# without the expected effect, or rejected it. Sound that was accepted but not counted proves
# nothing.
_CANNOT: Final = frozenset(
    {"no_tool_call", "not_schema", "not_seen", "not_read", "not_thought", "rejected"}
)
_SOURCE_MAX: Final = 60


def probe_model(
    actor: Actor, model: PublicModel, channel: Channel, tries: Sequence[Try]
) -> ModelEntry:
    """Test a model's capabilities through a channel, concurrently. Return the entry with the stored
    result.

    Takes as long as the channel's timeouts allow, a minute at most. Raises Refused for a channel
    that does not serve the model, or whose key cannot be opened.
    """
    name = model.target or model.name
    upstream = upstream_name(channel, name)
    if upstream is None:
        text = gettext("%(channel)s does not serve %(model)s.")
        raise Refused("channel", text % {"channel": channel.name, "model": name})
    try:
        target = target_of(channel)
    except VaultError as error:
        raise Refused("channel", str(error)) from error
    results = [new_result(name, upstream, cast(Variant, one)) for one in tries]
    policy = egress_policy()
    if not connection.in_atomic_block:
        # The provider may take a minute, so the connection is returned to the pool.
        connection.close()
    with ThreadPoolExecutor(len(results)) as pool:
        # Iterate over the results, because an exception in a thread is raised only then.
        list(pool.map(lambda one: call(target, policy, one, _assumed_parameters(one)), results))
    regions = served_regions(channel.provider, channel.base_url, channel.region, upstream)
    for one in results:
        one.cost_nano = cost_of(channel.name, regions, one)
    return _keep(actor, model, channel, results)


def _assumed_parameters(result: ChannelCheck) -> frozenset[tuple[str, int]]:
    # Request features that the catalogue does not list too, because the probe tests them.
    field = _CAPABILITIES.get(cast(Try, result.variant))
    return frozenset() if field is None else frozenset({(field, True)})


def _keep(
    actor: Actor, model: PublicModel, channel: Channel, results: Sequence[ChannelCheck]
) -> ModelEntry:
    name, costs = model.target or model.name, [result.cost_nano for result in results]
    cost_nano = None if None in costs else sum(cost or 0 for cost in costs)
    verdicts = {
        field: verdict
        for result in results
        if (field := _CAPABILITIES.get(cast(Try, result.variant))) is not None
        and (verdict := _verdict(result)) is not None
    }
    kept: dict[str, Any] = {
        "at": clock.now().isoformat(),
        "channel": channel.name,
        "cost_nano": cost_nano,
        "results": [stored_form(result) for result in results],
    }
    with transaction.atomic():
        entry, _ = ModelEntry.objects.update_or_create(name=name, defaults={"probe": kept})
        proposed = propose_probed(model, verdicts, f"{PROBE}{channel.name}"[:_SOURCE_MAX])
        audit.record(
            actor, None, "model.probed", entry, model=name, channel=channel.name,
            found=verdicts, cost_nano=cost_nano, proposed=proposed,
        )  # fmt: skip
    return entry


def _verdict(result: ChannelCheck) -> bool | None:
    """Return whether the model has the capability, or None if the call failed for another
    reason."""
    if result.ok or result.fault == "no_usage":
        return True
    return False if result.fault in _CANNOT else None
