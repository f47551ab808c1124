"""Fetches a channel's credentials outside the relay, by the guarded connector."""

import time
from collections.abc import Collection
from dataclasses import replace
from typing import cast

from gateway.providers.cloud_credentials.credentials import (
    Ask,
    Credentials,
    CredentialsFailed,
    CredentialSource,
    Reply,
)
from lib.network.credential_sources import (
    ANSWER_BYTES_MAX,
    FETCH_S,
    check_credential_source,
    read_token_file,
)
from lib.network.egress import EgressPolicy, exchanged_at_most, guarded_client
from lib.network.outbound import DIRECT, Outbound


def fetch(
    source: CredentialSource,
    policy: EgressPolicy,
    outbound: Outbound,
    token_files: Collection[str],
) -> Credentials:
    """Return new credentials. Raises CredentialsFailed, FileDenied, EgressError, BadPem."""
    until = time.monotonic() + FETCH_S
    steps = source.fetch(int(time.time()))
    try:
        step = next(steps)
        while True:
            if isinstance(step, Ask):
                reply = _fetch(step, policy, outbound, until)
            else:
                reply = Reply(200, read_token_file(step.path, token_files))
            step = steps.send(reply)
    except StopIteration as end:
        return cast(Credentials, end.value)


def _fetch(ask: Ask, policy: EgressPolicy, outbound: Outbound, until: float) -> Reply:
    check_credential_source(policy, ask.url)
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise CredentialsFailed(f"no credentials in {FETCH_S:.0f} s")
    own = DIRECT if ask.near else replace(outbound, cert_pem="", key_pem="")
    headers = {"accept": "application/json", **ask.headers}
    with guarded_client(
        policy, read_s=left_s, until=until, schemes=("http", "https"), outbound=own
    ) as client:
        answer = exchanged_at_most(
            client, ask.method, ask.url, headers, ask.body, bytes_max=ANSWER_BYTES_MAX
        )
    names = {name.lower(): value for name, value in answer.headers.items()}
    return Reply(answer.status_code, answer.content, names)
