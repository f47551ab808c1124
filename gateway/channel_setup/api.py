"""The management API for operators of channels. Pages call the same functions.

A provider's key is never returned: a response has only its last four characters.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext
from ninja import Body, Query, Status

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.currency.answers import answer_of
from billing.currency.money import format_usd, parse_usd
from gateway.access import (
    access_channel,
    access_channel_key,
    access_channels,
    access_test_run,
    every_channel,
    visible_channels,
    visible_test_runs,
)
from gateway.channels import channels
from gateway.channels.channel_tests.channel_test import stored_form, target_of, upstream_name
from gateway.channels.channel_tests.scheduled_tests import check_by_rule, start_run
from gateway.channels.channel_tests.staged_calls import Target
from gateway.channels.channel_tests.words import words_of
from gateway.channels.fields import AMOUNT_NAMES, OF_ONE, ChannelFields, relabel
from gateway.channels.model_lists import ModelList, list_models
from gateway.channels.refusals import ChannelRefused
from gateway.channels.schemas import (
    ChannelChange,
    ChannelDifference,
    ChannelDifferences,
    ChannelIn,
    ChannelKeyIn,
    ChannelKeyOut,
    ChannelKeyPage,
    ChannelOut,
    ChannelPage,
    ChannelPatch,
    ChannelQuery,
    ChannelsChange,
    ChannelTestOut,
    CopyIn,
    KeyBalanceAmountOut,
    KeyBalanceOut,
    KeySwitch,
    ModelListOut,
    RouteOut,
    StageOut,
    TakenOutOut,
    TargetIn,
    TestIn,
    TestResultOut,
    TestRunIn,
    TestRunOut,
    TestRunPage,
    route_fields,
)
from gateway.models import Channel, ChannelKey, ChannelTestRun
from gateway.provider_accounts.balances.balances import check_balance, reading_of, reads_balance
from gateway.provider_accounts.balances.rows import fault_words
from lib.api import pagination
from lib.ids import id_text
from lib.vault import VaultError

router = Router(tags=["Channels"], auth=api_auth.installation_auth)


@router.get("/channels", response=ChannelPage, summary="List channels")
def list_channels(actor: Actor, query: Query[ChannelQuery]) -> ChannelPage:
    """Connections to providers, newest first."""
    rows = every_channel(actor) if query.archived else visible_channels(actor)
    page = pagination.page_by_id(query.filter_by_name(rows), query.limit, query.cursor)
    return ChannelPage(items=[_channel(channel) for channel in page.items], next=page.next)


@router.post("/channels", response={201: ChannelOut}, summary="Add a channel")
@requires("channels.write")
def create_channel(actor: Actor, body: ChannelIn) -> Status[ChannelOut]:
    """Requests use it within a second."""
    channel = channels.create_channel(actor, body.name, _fields(body))
    return Status(201, _channel(channel))


@router.get("/channels/{id}", response=ChannelOut, summary="Show a channel")
def show_channel(actor: Actor, id: str) -> ChannelOut:
    """One channel, archived or not."""
    return _channel(access_channel(actor, id))


@router.patch("/channels/{id}", response=ChannelOut, summary="Change a channel")
@requires("channels.write")
def change_channel(actor: Actor, id: str, body: ChannelPatch) -> ChannelOut:
    """Changes the given fields. Takes effect everywhere within a second."""
    channel = access_channel(actor, id)
    return _channel(channels.change_channel(actor, channel, _fields(body), seen=body.version))


@router.post("/channel-changes", response=ChannelDifferences, summary="Change several channels")
@requires("channels.write")
def change_channels(actor: Actor, body: ChannelsChange) -> ChannelDifferences:
    """Changes all of them or none, and answers with what has changed of each. With `preview`, it
    answers with what would change, and changes nothing."""
    refused = body.change.model_fields_set & OF_ONE
    if refused:
        text = gettext("This can only be changed of one channel at a time.")
        raise ChannelRefused(f"change.{min(refused)}", text)
    with transaction.atomic():
        # Labels are added to those of now, not to those before another change.
        channels.lock_channels(access_channels(actor, body.ids))
        before = access_channels(actor, body.ids)
        changes = [
            channels.FieldsOfChannel(channel, _fields_of_several(body, channel), seen=None)
            for channel in before
        ]
        channels.change_channels(actor, changes)
        items = list(_differences(before, access_channels(actor, body.ids)))
        transaction.set_rollback(body.preview)
    return ChannelDifferences(items=items)


@router.delete("/channels/{id}", response={204: None}, summary="Delete a channel")
@requires("channels.write")
def remove_channel(actor: Actor, id: str) -> Status[None]:
    """Permanently deletes a channel with its keys. Usage records keep its name."""
    channels.remove_channel(actor, access_channel(actor, id))
    return Status(204, None)


@router.post("/channels/{id}/copy", response={201: ChannelOut}, summary="Copy a channel")
@requires("channels.write")
def copy_channel(actor: Actor, id: str, body: CopyIn) -> Status[ChannelOut]:
    """The copy has the same keys and models, and is off."""
    copy = channels.copy_channel(actor, access_channel(actor, id), body.name)
    return Status(201, _channel(copy))


@router.post("/channels/{id}/archive", response=ChannelOut, summary="Archive a channel")
@requires("channels.write")
def archive_channel(actor: Actor, id: str) -> ChannelOut:
    """Turns it off and removes it from lists. Its keys stay stored."""
    return _channel(channels.archive_channel(actor, access_channel(actor, id)))


@router.post("/channels/{id}/restore", response=ChannelOut, summary="Restore a channel")
@requires("channels.write")
def restore_channel(actor: Actor, id: str) -> ChannelOut:
    """Brings it back from the archive, turned off."""
    return _channel(channels.restore_channel(actor, access_channel(actor, id)))


@router.get("/channels/{id}/keys", response=ChannelKeyPage, summary="List a channel's keys")
def list_channel_keys(actor: Actor, id: str, query: Query[pagination.PageQuery]) -> ChannelKeyPage:
    """The keys of a channel, in the order in which they take turns."""
    keys = list(access_channel(actor, id).keys.all())
    page = pagination.page_by_key(keys, query.limit, query.cursor, lambda key: id_text(key.id))
    return ChannelKeyPage(items=[_key(key) for key in page.items], next=page.next)


@router.get("/channels/{id}/keys/{key}", response=ChannelKeyOut, summary="Show a channel's key")
def show_channel_key(actor: Actor, id: str, key: str) -> ChannelKeyOut:
    """One key of a channel, by its last characters."""
    return _key(access_channel_key(actor, access_channel(actor, id), key))


@router.post("/channels/{id}/keys", response={201: ChannelKeyOut}, summary="Add a key")
@requires("channels.write")
def add_key(actor: Actor, id: str, body: ChannelKeyIn) -> Status[ChannelKeyOut]:
    """The keys of a channel take turns."""
    return Status(201, _key(channels.add_key(actor, access_channel(actor, id), body.secret)))


@router.patch("/channels/{id}/keys/{key}", response=ChannelKeyOut, summary="Disable a key")
@requires("channels.write")
def switch_key(actor: Actor, id: str, key: str, body: KeySwitch) -> ChannelKeyOut:
    """Disables a key, or enables it again."""
    channel = access_channel(actor, id)
    stored = access_channel_key(actor, channel, key)
    channels.switch_key(actor, channel, stored, enabled=body.enabled)
    return _key(access_channel_key(actor, channel, key))


@router.delete("/channels/{id}/keys/{key}", response={204: None}, summary="Remove a key")
@requires("channels.write")
def remove_key(actor: Actor, id: str, key: str) -> Status[None]:
    """Permanently removes a key from a channel."""
    channel = access_channel(actor, id)
    channels.remove_key(actor, channel, access_channel_key(actor, channel, key))
    return Status(204, None)


@router.post("/channels/{id}/test", response=ChannelTestOut, summary="Test a channel")
@requires("channels.test")
def test_channel(actor: Actor, id: str, body: TestIn) -> ChannelTestOut:
    """Sends one short request to the provider. No customer is charged."""
    channel = access_channel(actor, id)
    if upstream_name(channel, body.model) is None:
        raise ChannelRefused("model", f"The channel does not serve {body.model}.")
    return _test(stored_form(check_by_rule(actor, channel, body.model, body.variant)))


@router.post("/channels/{id}/balance", response=ChannelOut, summary="Ask for a balance")
@requires("channels.test")
def ask_balance(actor: Actor, id: str) -> ChannelOut:
    """Asks the provider what each key has left, and acts on it as the job does every ten
    minutes."""
    channel = access_channel(actor, id)
    if not reads_balance(channel):
        raise ChannelRefused("balance_source", gettext("Choose where the balance is read first."))
    check_balance(actor, channel)
    return _channel(access_channel(actor, id))


@router.post("/channel-tests", response={201: TestRunOut}, summary="Test all channels")
@requires("channels.test")
def test_all_channels(actor: Actor, body: TestRunIn) -> Status[TestRunOut]:
    """Tests every channel in the background, one after the other."""
    return Status(201, _serialize_run(start_run(actor, body.variant)))


@router.get("/channel-tests", response=TestRunPage, summary="List tests of all channels")
def list_test_runs(actor: Actor, query: Query[pagination.PageQuery]) -> TestRunPage:
    """Tests of all channels, newest first."""
    rows = visible_test_runs(actor)
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return TestRunPage(items=[_serialize_run(run) for run in page.items], next=page.next)


@router.get("/channel-tests/{id}", response=TestRunOut, summary="Show a test of all channels")
def show_test_run(actor: Actor, id: str) -> TestRunOut:
    """How far it has come, and the results so far."""
    return _serialize_run(access_test_run(actor, id))


@router.post(
    "/channels/{id}/provider-models", response=ModelListOut, summary="List a provider's models"
)
@requires("channels.test")
def list_provider_models(actor: Actor, id: str) -> ModelListOut:
    """Asks the provider which models the channel's key can call."""
    try:
        target = target_of(access_channel(actor, id))
    except VaultError as error:
        raise ChannelRefused("keys", str(error)) from error
    return _model_list(list_models(target))


@router.post("/provider-models", response=ModelListOut, summary="Try a provider")
@requires("channels.write")
def try_provider(actor: Actor, body: Annotated[TargetIn, Body()]) -> ModelListOut:
    """Asks a provider which models a key can call, before a channel is added. Nothing is
    stored."""
    target = Target(body.provider, body.base_url, body.secret, channels.TIMEOUTS)
    return _model_list(list_models(target))


def _fields(body: ChannelChange) -> ChannelFields:
    """Return the fields that a body sets, as `change_channel` takes them."""
    set_fields: dict[str, Any] = body.model_dump(exclude_unset=True, exclude={"name", "version"})
    if "models" in set_fields:
        set_fields |= route_fields(body.models)
    for name in AMOUNT_NAMES:
        if name in set_fields:
            amount = set_fields.pop(name)
            set_fields[f"{name}_nano"] = None if amount is None else parse_usd(amount)
    fields: ChannelFields = set_fields  # type: ignore[assignment]
    return fields


def _fields_of_several(body: ChannelsChange, channel: Channel) -> ChannelFields:
    fields = _fields(body.change)
    labels = fields.get("labels", channel.labels)
    fields["labels"] = relabel(labels, body.add_labels, body.remove_labels)
    return fields


def _differences(
    before: Sequence[Channel], after: Sequence[Channel]
) -> Iterator[ChannelDifference]:
    """Yield the channels that differ, with their differing members."""
    changed = {channel.id: _channel(channel).model_dump() for channel in after}
    for channel in before:
        old, new = _channel(channel).model_dump(), changed[channel.id]
        names = [name for name in old if name != "version" and old[name] != new[name]]
        if names:
            yield ChannelDifference(
                id=old["id"],
                name=channel.name,
                before={name: old[name] for name in names},
                after={name: new[name] for name in names},
            )


def _channel(channel: Channel) -> ChannelOut:
    return answer_of(
        ChannelOut,
        channel,
        has_proxy_login=channel.proxy_login is not None,
        has_client_key=channel.client_key is not None,
        **channels.parts_of(channel),
        taken_out=TakenOutOut(**channel.taken_out) if channel.taken_out else None,
        keys=[_key(key) for key in channel.keys.all()],
        models={
            route.model: answer_of(RouteOut, route, upstream=route.upstream_model)
            for route in channel.routes.all()
        },
        last_test=_test(channel.last_test) if channel.last_test else None,
        version=channels.version_of(channel),
    )


def _key(key: ChannelKey) -> ChannelKeyOut:
    state = "disabled" if key.disabled_at else "active"
    enabled, balance = key.disabled_at is None, _balance(key)
    return answer_of(ChannelKeyOut, key, enabled=enabled, state=state, balance=balance)


def _balance(key: ChannelKey) -> KeyBalanceOut | None:
    reading = reading_of(key)
    if reading is None:
        return None
    cause, fix = fault_words(reading)
    amounts = [
        KeyBalanceAmountOut(currency=currency, amount=format_usd(nano))
        for currency, nano in reading.amounts
    ]
    more = {"fault": reading.fault or None, "cause": _text(cause), "fix": _text(fix)}
    return answer_of(KeyBalanceOut, reading, amounts=amounts, **more)


def _test(stored: dict[str, Any]) -> ChannelTestOut:
    cause, fix = words_of(stored["fault"])
    more = {"variant": stored.get("variant", "streamed"), "cost": _usd(stored.get("cost_nano"))}
    return ChannelTestOut(**{**stored, **more}, cause=_text(cause), fix=_text(fix))


def _serialize_run(run: ChannelTestRun) -> TestRunOut:
    results = [
        TestResultOut(
            channel_id=id_text(UUID(row["channel_id"])),
            channel=row["channel"],
            ok=row["ok"],
            fault=row["fault"],
            total_ms=row["total_ms"],
            cost=_usd(row["cost_nano"]),
        )
        for row in run.results
    ]
    return answer_of(TestRunOut, run, done=len(results), results=results)


def _model_list(result: ModelList) -> ModelListOut:
    cause, fix = words_of(result.fault)
    stages = [StageOut(**stage) for stage in result.stages]
    more = {"cause": _text(cause), "fix": _text(fix), "models": result.names}
    return answer_of(ModelListOut, result, stages=stages, **more)


def _usd(nano: int | None) -> str | None:
    return None if nano is None else format_usd(nano)


def _text(words: object) -> str | None:
    return None if words is None else str(words)
