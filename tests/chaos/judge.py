"""Our books beside the provider's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lib.ids import id_text
from tests.fakes.upstream import FakeUpstream
from tests.support.hub import Hub

Row = Mapping[str, Any]
WINDOW_TOKENS = 64
WINDOW_NS = 250_000_000


def price(usage: Mapping[str, Any]) -> int:
    """What a count comes to at the price of the tests: 1 nano for a token in, 3 for one out."""
    return int(usage["prompt_tokens"]) + 3 * int(usage["completion_tokens"])


def window(row: Row) -> int:
    """Tokens of one mark window of an answer: 64, or what it says in 250 ms if that is more."""
    if not row["first_at"] or row["ended_at"] <= row["first_at"]:
        return WINDOW_TOKENS
    in_window: int = row["emitted"] * WINDOW_NS // (row["ended_at"] - row["first_at"])
    return max(WINDOW_TOKENS, in_window)


@dataclass(frozen=True)
class Verdict:
    """What became of the attempts that the provider took in."""

    accepted: int
    missing: list[str]
    double: list[str]
    oracle_nano: int
    customer_nano: int
    loss_nano: int
    owed_nano: int
    cut: int
    overpaid: list[str]
    beyond_window_max: int
    wrong: list[str]

    @property
    def exact(self) -> bool:
        return self.customer_nano + self.loss_nano == self.oracle_nano == self.owed_nano


def judge(hub: Hub, fakes: Sequence[FakeUpstream]) -> Verdict:
    """Compare, attempt by attempt; every hold must be resolved."""
    oracle = {row["client_request_id"]: row for fake in fakes for row in fake.books()}
    records: dict[str, Row] = {
        id_text(row["id"]): row
        for row in hub.rows("SELECT * FROM usage_usagerecord WHERE channel_id IS NOT NULL")
    }
    resolutions: dict[str, int] = {}
    for row in hub.rows(
        "SELECT coalesce(attempt_id, split_part(idempotency_id, ':', 2)::uuid) AS id, "
        "count(*) AS n FROM billing_posting "
        "WHERE kind IN ('settle', 'void', 'expire') GROUP BY 1"
    ):
        resolutions[id_text(row["id"])] = row["n"]
    balances = {
        row["kind"]: int(row["nano"])
        for row in hub.rows(
            "SELECT kind, sum(balance_nano) AS nano FROM billing_account GROUP BY kind"
        )
    }
    billed = {name: row for name, row in oracle.items() if row["accepted"]}
    overpaid, wrong, short, cut = [], [], -(2**31), 0
    for name, row in billed.items():
        record = records.get(name)
        if record is None:
            continue
        counted = price(row["usage"])
        if "crash_cut" in record["flags"]:
            cut += 1
            marked = record["meters"].get("out_text", 0) + record["meters"].get("out_reasoning", 0)
            short = max(short, row["usage"]["completion_tokens"] - marked - window(row))
            if record["charge_nano"] > counted:
                overpaid.append(name)
        elif record["basis"] in ("measured", "drained") and record["charge_nano"] != counted:
            wrong.append(name)
    return Verdict(
        accepted=len(billed),
        missing=[name for name in billed if name not in records],
        double=[name for name, count in resolutions.items() if count != 1],
        oracle_nano=sum(price(row["usage"]) for row in billed.values()),
        customer_nano=balances.get("revenue", 0),
        loss_nano=-balances.get("platform:loss", 0),
        owed_nano=balances.get("provider:payable", 0),
        cut=cut,
        overpaid=overpaid,
        beyond_window_max=short,
        wrong=wrong,
    )
