"""The bounds of channels: what they keep of faults, their settings and keys, their changes to
requests, and what is read of a provider's answer to a test or a list of models."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict

from accounts.access.actors import SYSTEM
from gateway.breaker.channel_state import Key, Sought
from gateway.catalogue.forms import ListForm
from gateway.channel_setup.route_table import RouteRow, _note_number
from gateway.channels import egress, fields, model_lists
from gateway.channels.channel_tests import calls
from gateway.channels.channel_tests.rules import CheckRule, removal_by_traffic
from gateway.channels.channel_tests.staged_calls import (
    CallFailed,
    StagedCall,
    Target,
    first_text,
)
from gateway.channels.channels import add_key, create_channel
from gateway.channels.fields import ChannelFields
from gateway.channels.model_names import check_model_name
from gateway.channels.overrides.conditions import check_conditions
from gateway.channels.overrides.overrides import check_overrides
from gateway.models import Channel, ChannelKey
from gateway.providers import PROVIDERS
from lib.network.egress import EgressPolicy
from tests.support.bounds import Bound, agreed

MODEL: Final = "m0"
ASKER: Final = UUID(int=0)
ADDRESS: Final = "https://provider.example/v1"
TARGET: Final = Target("anthropic", "", "sk-ant-fake", {})


# What is kept of faults ---------------------------------------------------------------------------


def rests_after_doubts(times: int) -> bool:
    """Whether a model rests for an organisation that was refused it so many times in a row."""
    key, sought = Key(None), Sought(MODEL, ASKER)
    held = [key.doubt(sought, "model_unknown", 1.0, 1.0) for _ in range(times)]
    assert held[-1] == (not key.allows(sought, 2.0))
    return held[-1]


def keeps_doubt(models: int = 1, organisations: int = 1) -> bool:
    """Whether the first model still rests for the first organisation after refusals of so many
    models, or to so many organisations."""
    key, first = Key(None), Sought(MODEL, ASKER)
    assert any(key.doubt(first, "model_unknown", 1.0, 1.0) for _ in range(3))
    for n in range(1, models):
        key.doubt(Sought(f"m{n}", ASKER), "model_unknown", 1.0, 1.0)
    for n in range(1, organisations):
        key.doubt(Sought(MODEL, UUID(int=n)), "model_unknown", 1.0, 1.0)
    return not key.allows(first, 2.0)


def keeps_limit(models: int) -> bool:
    """Whether the first model still rests after so many came to their provider's limit."""
    key = Key(None)
    for n in range(models):
        key.limit(f"m{n}").cool(1.0, 60_000)
    return key.cools(Sought(MODEL, ASKER), 2.0)


def keeps_refusal(models: int) -> bool:
    """Whether the first model still rests after the key was refused for so many."""
    key = Key(None)
    for n in range(models):
        key.refuse_model(f"m{n}", 1.0, 1.0)
    return key.why(Sought(MODEL, ASKER), 2.0) == "key_refused"


# Settings and keys --------------------------------------------------------------------------------


def set_up(**settings: Any) -> None:
    """Check a channel with these settings."""
    whole = {"provider": "openai_compatible", "base_url": ADDRESS, **settings}
    fields.check_settings(Channel(**whole))


def set_address(length: int) -> None:
    set_up(base_url=f"{ADDRESS}/".ljust(length, "p"))


def set_proxy(length: int) -> None:
    egress.check_route(Channel(proxy_url="http://" + "p" * (length - 12) + ":8080"))


def set_statuses(length: int) -> None:
    """Have a channel turned off by a list of statuses that is so long."""
    count, spaces = divmod(length + 1, 4)
    texts = ["403"] + [" 403"] * spaces + ["403"] * (count - 1 - spaces)
    text = ",".join(texts)
    assert len(text) == length
    set_up(testing={"statuses": text})


def check_routes(models: Mapping[str, str]) -> None:
    """Check what a channel serves, with nothing else of its models."""
    routes: ChannelFields = {
        "models": models,
        "can": {},
        "priorities": {},
        "weights": {},
        "model_timeouts": {},
    }
    fields.check_routes(routes)


def takes_digits(count: int) -> bool:
    """Whether a number of so many digits, most of them zeros, is read in the table of models."""
    row, read = RouteRow("m", "m"), dict[str, int]()
    _note_number(row, "weight", f"{1:0{count}d}", read, "m", 1)
    return read == {"m": 1}


def add_keys(count: int) -> bool:
    """Add the last of so many keys to a channel, or create one with so many: both or neither."""
    channel = Channel.objects.create(name="east", provider="openai", base_url=ADDRESS)
    ChannelKey.objects.bulk_create(
        ChannelKey(channel=channel, position=n, sealed=b"", digest=n.to_bytes(32, "big"))
        for n in range(1, count)
    )
    keys = [f"sk-fake-{n}" for n in range(count)]
    fields: ChannelFields = {"provider": "openai", "base_url": ADDRESS, "keys": keys, "models": {}}
    return agreed(
        lambda: add_key(SYSTEM, channel, "sk-fake-last"),
        lambda: create_channel(SYSTEM, "west", fields),
    )


# Changes to requests ------------------------------------------------------------------------------


def override(**changes: Any) -> None:
    check_overrides(PROVIDERS["openai"], changes)


def set_parameters(values: Mapping[str, Any]) -> None:
    override(parameters={"openai": {"set": values}})


def rule_for(models: Sequence[str]) -> dict[str, Any]:
    return {"models": models, "headers": {"x-tier": "low"}}


# What is read of an answer ------------------------------------------------------------------------


def uploads_list(size: int) -> bool:
    """Whether a file of so many bytes can be a list of models."""
    file = UploadedFile(BytesIO(b"[]"), "models.json", "application/json", size)
    return "file" not in ListForm({}, MultiValueDict({"file": [file]})).errors


def reads_check(length: int) -> bool:
    """Whether an answer of so many bytes to a test of a channel is read, in two pieces."""
    result = calls.ChannelCheck(model="claude-fake", upstream_model="claude-fake")
    check = calls._Check(TARGET, EgressPolicy(), result, frozenset())
    pieces = [bytes(length - 1), b"x"]
    try:
        return list(check._bounded(iter(pieces))) == pieces
    except CallFailed:
        return False


def shows_more(length: int) -> bool:
    """Whether more is read of a response to show it after so many bytes."""
    pieces = iter([b"x" * length, b"y"])
    shown = first_text(pieces)
    more = next(pieces, None) is None
    assert shown == "x" * length + "y" * more
    return more


def shows_whole(length: int) -> bool:
    return first_text(iter([b"x" * length])) == "x" * length


def listed_models(pages: Sequence[bytes]) -> tuple[model_lists.ModelList, int]:
    """What is read of a list with these pages, and how many of them are asked for."""
    left = list(pages)

    @contextmanager
    def send(call: StagedCall, *_: object) -> Iterator[object]:
        call.reach("address")
        call.reach("connect")
        page = left.pop(0)
        yield SimpleNamespace(status_code=200, iter_raw=lambda: iter([page]))

    result = model_lists.ModelList()
    with patch.object(StagedCall, "send", send):
        model_lists._Listing(TARGET, EgressPolicy(), result).run()
    return result, len(pages) - len(left)


def page_of(names: Sequence[str], *, more: bool = False) -> bytes:
    rows = [{"id": name} for name in names]
    return json.dumps({"data": rows, "has_more": more, "last_id": names[-1]}).encode()


def numbered(count: int) -> list[str]:
    return [f"m{n}" for n in range(count)]


def lists_whole(count: int) -> bool:
    """Whether a list of so many models is read to its end, with every name."""
    result, _ = listed_models([page_of(numbered(count))])
    assert result.ok
    assert result.complete == (len(result.names) == count)
    return result.complete


def reads_next_page(count: int) -> bool:
    """Whether the next page is asked for after so many names."""
    pages = [page_of(numbered(count), more=True), page_of(["last"])]
    result, asked = listed_models(pages)
    assert result.ok
    return asked == 2


def reads_list(length: int) -> bool:
    """Whether a list of models in so many bytes is read."""
    answer: Any = SimpleNamespace(iter_raw=lambda: iter([bytes(length)]))
    listing = model_lists._Listing(TARGET, EgressPolicy(), model_lists.ModelList())
    try:
        return len(listing._read_body(answer)) == length
    except CallFailed:
        return False


BOUNDS: Final[dict[str, Bound]] = {
    "gateway/breaker/channel_state.py:doubt:DOUBTED_MAX": Bound(
        lambda _, n: rests_after_doubts(n), 3, None
    ),
    "gateway/breaker/channel_state.py:doubt:_MODELS_MAX": Bound(
        lambda _, n: keeps_doubt(models=n), None, 1024
    ),
    "gateway/breaker/channel_state.py:doubt:organisations": Bound(
        lambda _, n: keeps_doubt(organisations=n), None, 1024
    ),
    "gateway/breaker/channel_state.py:limit:_MODELS_MAX": Bound(
        lambda _, n: keeps_limit(n), None, 1024
    ),
    "gateway/breaker/channel_state.py:refuse_model:_MODELS_MAX": Bound(
        lambda _, n: keeps_refusal(n), None, 1024
    ),
    "gateway/catalogue/forms.py:clean_file:LIST_BYTES_MAX": Bound(
        lambda _, n: uploads_list(n), None, 16 * 2**20
    ),
    "gateway/channels/channel_tests/calls.py:_bounded:_BODY_BYTES_MAX": Bound(
        lambda _, n: reads_check(n), None, 2**20
    ),
    "gateway/channels/channel_tests/rules.py:removal_by_traffic:ATTEMPTS_MIN": Bound(
        lambda _, n: removal_by_traffic(CheckRule(success_percent=1), n, n) is not None, 20, None
    ),
    "gateway/channels/channel_tests/staged_calls.py:first_text:_SHOWN_BYTES_MAX": Bound(
        lambda _, n: shows_more(n), None, 4095
    ),
    "gateway/channels/channel_tests/staged_calls.py:first_text:whole": Bound(
        lambda _, n: shows_whole(n), None, 4096
    ),
    "gateway/channel_setup/route_table.py:_note_number:_DIGITS_MAX": Bound(
        lambda _, n: takes_digits(n), None, 10
    ),
    "gateway/channels/channels.py:_check_count:KEYS_MAX": Bound(
        lambda _, n: add_keys(n), None, 100
    ),
    "gateway/channels/egress.py:_check_size:PEM_MAX": Bound(
        lambda _, n: egress._check_size("ca_bundle", "x" * n), None, 100_000
    ),
    "gateway/channels/egress.py:check_route:URL_MAX": Bound(lambda _, n: set_proxy(n), None, 500),
    "gateway/channels/fields.py:_check_address:URL_MAX": Bound(
        lambda _, n: set_address(n), None, 500
    ),
    "gateway/channels/fields.py:_check_labels:LABELS_MAX": Bound(
        lambda _, n: set_up(labels=numbered(n)), None, 20
    ),
    "gateway/channels/fields.py:_check_model:MODEL_MAX": Bound(
        lambda _, n: check_routes({"m" * n: ""}), 1, 200
    ),
    "gateway/channels/fields.py:_check_model:upstream": Bound(
        lambda _, n: check_routes({MODEL: "m" * n}), None, 200
    ),
    "gateway/channels/fields.py:_check_seconds:SECONDS_MAX": Bound(
        lambda _, n: set_up(timeouts={"total": n}), 1, 86_400
    ),
    "gateway/channels/fields.py:_check_testing:TEXT_MAX": Bound(
        lambda _, n: set_up(testing={"words": "w" * n}), None, 500
    ),
    "gateway/channels/fields.py:_check_testing:model": Bound(
        lambda _, n: set_up(testing={"model": "m" * n}), None, 500
    ),
    "gateway/channels/fields.py:_check_testing:statuses": Bound(
        lambda _, n: set_statuses(n), None, 500
    ),
    "gateway/channels/fields.py:check_name:NAME_MAX": Bound(
        lambda _, n: fields.check_name("c" * n), 1, 120
    ),
    "gateway/channels/fields.py:check_routes:ROUTES_MAX": Bound(
        lambda _, n: check_routes(dict.fromkeys(numbered(n), "")), None, 2_000
    ),
    "gateway/channels/fields.py:check_secret:SECRET_MAX": Bound(
        lambda _, n: fields.check_secret(Channel(provider="openai"), "s" * n), 1, 4096
    ),
    "gateway/channels/fields.py:check_settings:AMOUNT_NANO_MAX": Bound(
        lambda _, n: set_up(spend_cap_day_nano=n), 1, 2**62
    ),
    "gateway/channels/model_lists.py:_read_body:_BODY_BYTES_MAX": Bound(
        lambda _, n: reads_list(n), None, 8 * 2**20
    ),
    "gateway/channels/model_lists.py:is_model_name:MODEL_MAX": Bound(
        lambda _, n: model_lists.is_model_name("m" * n), 1, 200
    ),
    "gateway/channels/model_lists.py:run:NAMES_MAX": Bound(
        lambda _, n: lists_whole(n), None, 2_000
    ),
    "gateway/channels/model_lists.py:run:next_page": Bound(
        lambda _, n: reads_next_page(n), None, 1_999
    ),
    "gateway/channels/model_names.py:check_model_name:MODEL_MAX": Bound(
        lambda _, n: check_model_name("model", "m" * n), 1, 200
    ),
    "gateway/channels/overrides/conditions.py:_check_lengths:PROMPT_MAX": Bound(
        lambda _, n: check_conditions({"prompt_min": n}), 0, 100_000_000
    ),
    "gateway/channels/overrides/conditions.py:_check_lengths:prompt_max": Bound(
        lambda _, n: check_conditions({"prompt_max": n}), 0, 100_000_000
    ),
    "gateway/channels/overrides/conditions.py:check_conditions:VALUES_MAX": Bound(
        lambda _, n: check_conditions({"tags": numbered(n)}), None, 100
    ),
    "gateway/channels/overrides/overrides.py:_check_header_names:HEADERS_MAX": Bound(
        lambda _, n: override(headers=dict.fromkeys(numbered(n), "v")), None, 20
    ),
    "gateway/channels/overrides/overrides.py:_check_header_names:client_headers": Bound(
        lambda _, n: override(client_headers=numbered(n)), None, 20
    ),
    "gateway/channels/overrides/overrides.py:_check_parameters:PARAMETERS_MAX": Bound(
        lambda _, n: set_parameters(dict.fromkeys(numbered(n), 1)), None, 50
    ),
    "gateway/channels/overrides/overrides.py:_check_rules:CONDITIONAL_MAX": Bound(
        lambda _, n: override(when=[rule_for([MODEL])] * n), None, 20
    ),
    "gateway/channels/overrides/overrides.py:_check_rules:MODEL_MAX": Bound(
        lambda _, n: override(when=[rule_for(["m" * n])]), 1, 200
    ),
    "gateway/channels/overrides/overrides.py:_check_rules:VALUES_MAX": Bound(
        lambda _, n: override(when=[rule_for(numbered(n))]), None, 100
    ),
    "gateway/channels/overrides/overrides.py:_check_value:VALUE_BYTES_MAX": Bound(
        lambda _, n: set_parameters({"stop": f"中{'s' * (n - 5)}"}), None, 8_192
    ),
}
ELSEWHERE: Final[dict[str, str]] = {}
UNSEEN: Final[dict[str, str]] = {}
