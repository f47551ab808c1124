"""What the record sink's tests share."""

import gzip
import json
from pathlib import Path
from typing import Any

from django.db.models import Count, Sum

from billing.models import Account
from lib.ids import id_text
from tests.usage.rows import credit
from usage.models import UsageRecord

CREDIT = 10**15
__all__ = ["CREDIT", "credit"]


def objects_in(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of each object, by its path."""
    return {
        str(path.relative_to(folder)): [
            json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()
        ]
        for path in sorted(folder.rglob("*.jsonl.gz"))
    }


def records_in(folder: Path) -> dict[str, dict[str, Any]]:
    """The records by their ids, each once."""
    return {
        line["id"]: line
        for lines in objects_in(folder).values()
        for line in lines
        if line["type"] == "usage_record"
    }


def assert_equal_to_the_ledger(records: dict[str, dict[str, Any]], organisations: int = 1) -> None:
    """Each record is there once, and their sum is what the ledger took from the credit."""
    books = UsageRecord.objects.aggregate(n=Count("id"), nano=Sum("charge_nano"))
    assert set(records) == set(map(id_text, UsageRecord.objects.values_list("id", flat=True)))
    nano = sum(record["charge_nano"] for record in records.values())
    assert (len(records), nano) == (books["n"], books["nano"])
    wallets = Account.objects.filter(kind__in=("customer:available", "customer:held"))
    left = sum(wallets.values_list("balance_nano", flat=True))
    assert nano == organisations * CREDIT - left
