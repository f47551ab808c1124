"""Borrow a channel's credentials outside the relay, by the guarded connector."""

import time
from collections.abc import Collection
from dataclasses import replace
from typing import cast

from gateway.providers.lending.loans import Ask, Lender, Loan, NotLent, Reply
from lib.network.egress import EgressPolicy, exchanged_at_most, guarded_client
from lib.network.lenders import ANSWER_BYTES_MAX, BORROW_S, check_lender, read_token_file
from lib.network.outbound import DIRECT, Outbound


def borrow(
    lender: Lender, policy: EgressPolicy, outbound: Outbound, token_files: Collection[str]
) -> Loan:
    """Return new credentials. Raises NotLent, FileDenied, EgressError, BadPem."""
    until = time.monotonic() + BORROW_S
    steps = lender.borrow(int(time.time()))
    try:
        step = next(steps)
        while True:
            if isinstance(step, Ask):
                reply = _ask(step, policy, outbound, until)
            else:
                reply = Reply(200, read_token_file(step.path, token_files))
            step = steps.send(reply)
    except StopIteration as end:
        return cast(Loan, end.value)


def _ask(ask: Ask, policy: EgressPolicy, outbound: Outbound, until: float) -> Reply:
    check_lender(policy, ask.url)
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise NotLent(f"no credentials in {BORROW_S:.0f} s")
    own = DIRECT if ask.near else replace(outbound, cert_pem="", key_pem="")
    headers = {"accept": "application/json", **ask.headers}
    with guarded_client(
        policy, connect_s=min(3.0, left_s), read_s=left_s, schemes=("http", "https"), outbound=own
    ) as client:
        answer = exchanged_at_most(
            client, ask.method, ask.url, headers, ask.body, bytes_max=ANSWER_BYTES_MAX
        )
    names = {name.lower(): value for name, value in answer.headers.items()}
    return Reply(answer.status_code, answer.content, names)
