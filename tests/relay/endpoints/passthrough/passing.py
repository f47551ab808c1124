"""A channel with pass-through rules at a running hub, and requests to it as bytes."""

import secrets
import socket
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from psycopg.types.json import Jsonb

from gateway.channels.passthrough.rules import PassThroughRule, stored_rules
from tests.relay.endpoints.passthrough.provider import Provider
from tests.support.hub import RATES, Hub, Tenant


def channel_of(
    hub: Hub, provider: Provider, rules: Sequence[PassThroughRule], **channel: Any
) -> str:
    """A new channel with these rules, priced; the path of it here. Returns when the hub knows
    it."""
    model = f"p-{secrets.token_hex(6)}"
    name = f"{model}-0"
    for rule in rules:
        hub.price(rule.label, rule.rates()["meters"], kind="path", channel=name)
        if (rates := rule.cost_rates()) is not None:
            hub.price(rule.label, rates["meters"], kind="path_cost", channel=name)
    hub.price(model, RATES)
    hub.channel(
        model, provider.url, provider.key, pass_through=Jsonb(stored_rules(rules)), **channel
    )
    hub.know(model)
    return f"/passthrough/{name}"


def send_raw(hub: Hub, tenant: Tenant, line: str, head: str = "") -> tuple[int, bytes]:
    """Send a request whose request line is exactly this; the status and the whole answer."""
    with closing(socket.create_connection(("127.0.0.1", hub.port), 30)) as client:
        text = f"{line}\r\nhost: hub\r\nauthorization: Bearer {tenant.key}\r\n{head}"
        client.sendall(f"{text}connection: close\r\n\r\n".encode("latin-1"))
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    return int(answer.split(b" ", 2)[1]), answer
