"""Texts in which nothing must be stopped, of the kinds that look like it: made by code from a seed,
and pieces of what installed packages say of themselves."""

import base64
import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from importlib import metadata
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from tests.content.corpus.makers import ALNUM, DIGITS, HEX, some

COUNT: Final = 2_000
MADE: Final = 1_240
_WORDS: Final = [
    "the",
    "order",
    "was",
    "sent",
    "on",
    "time",
    "and",
    "nobody",
    "had",
    "to",
    "wait",
    "for",
    "it",
    "while",
    "we",
    "talked",
    "about",
    "music",
    "and",
    "the",
    "weather",
    "in",
    "the",
    "north",
    "where",
    "rivers",
    "freeze",
    "each",
    "winter",
    "before",
    "schools",
    "close",
    "their",
    "doors",
]


def _prose(rng: Random) -> str:
    return " ".join(rng.choices(_WORDS, k=12)).capitalize() + rng.choice(".!?")


def _moment(rng: Random) -> dt.datetime:
    return dt.datetime.fromtimestamp(rng.randint(1_500_000_000, 1_900_000_000), dt.UTC)


def _log(rng: Random) -> str:
    at = _moment(rng)
    return (
        f"{at:%Y-%m-%dT%H:%M:%S}.{rng.randint(0, 999_999):06d}Z INFO [{rng.randint(1, 65_000)}] "
        f"GET /v1/items/{rng.randint(1, 10**9)}?page={rng.randint(1, 99)} 200 "
        f"{rng.randint(1, 10**6)}us req={uuid.UUID(bytes=rng.randbytes(16))} "
        f"ip=10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.1:{rng.randint(1024, 65_000)}"
    )


def _epochs(rng: Random) -> str:
    s = rng.randint(1_500_000_000, 1_900_000_000)
    ms, us, ns = (f"{s}{some(rng, DIGITS, count)}" for count in (3, 6, 9))
    return f"ts={s} ms={ms} us={us} ns={ns}"


def _order(rng: Random) -> str:
    digits = some(rng, "1", 1) + some(rng, DIGITS, rng.randint(9, 17))
    return f"Order {digits} ({some(rng, ALNUM, 8).upper()}-{some(rng, DIGITS, 6)}) has shipped."


def _any_digits(rng: Random) -> str:
    """Sixteen digits of which nothing is known: every tenth has a check digit by chance."""
    return f"Reference number {some(rng, '123456789', 1)}{some(rng, DIGITS, 15)} was assigned."


def _hashes(rng: Random) -> str:
    raw = rng.randbytes(20)
    return (
        f"sha256:{hashlib.sha256(raw).hexdigest()} md5 {raw[:16].hex()} commit {raw.hex()} "
        f"{raw.hex()[:7]}..{raw.hex()[8:16]}"
    )


def _lock(rng: Random) -> str:
    name = rng.choice(["lodash", "@types/node", "react-dom", "left-pad"])
    version = f"{rng.randint(0, 30)}.{rng.randint(0, 30)}.{rng.randint(0, 30)}"
    integrity = base64.b64encode(rng.randbytes(64)).decode()
    return (
        f'"{name}@{version}": {{\n  "version": "{version}",\n  "resolved": '
        f'"https://registry.example.org/{name}/-/{name.split("/")[-1]}-{version}.tgz",\n'
        f'  "integrity": "sha512-{integrity}"\n}}'
    )


def _git(rng: Random) -> str:
    old, new = (rng.randbytes(4).hex()[:7] for _ in range(2))
    return (
        f"commit {rng.randbytes(20).hex()}\nDate:   {_moment(rng):%a %b %d %H:%M:%S %Y} +0530\n\n"
        f"diff --git a/x.py b/x.py\nindex {old}..{new} 100644\n"
        f"@@ -{rng.randint(1, 900)},7 +{rng.randint(1, 900)},9 @@ def f():\n"
        f"+{rng.randint(1, 10**6)}\n"
        f"-    return {rng.randint(1, 99)}\n+    return a@b + {rng.randint(1, 99)}\n"
        "git clone git@github.com:org/repository.git"
    )


def _csv(rng: Random) -> str:
    rows = (
        ",".join([
            str(rng.randint(1, 9999)), f"{rng.random() * 1000:.2f}", f"{_moment(rng):%Y-%m-%d}",
            f"{rng.uniform(-180, 180):.8f}", f"{rng.random():.17f}", some(rng, HEX, 8),
        ])
        for _ in range(6)
    )  # fmt: skip
    return "id,price,day,lon,p,tag\n" + "\n".join(rows)


def _table(rng: Random) -> str:
    rows = (" ".join(f"{rng.randint(0, 9999):>6}" for _ in range(7)) for _ in range(4))
    return "\n".join(rows)


def _code(rng: Random) -> str:
    return rng.choice((
        "@app.route('/x')\ndef view(request):\n    return a @ b + c@d.T  # @todo: rename\n",
        "const icon = require('./icon@2x.png'); // 0x7fffffffffffffff 9007199254740991\n",
        "systemctl status getty@tty1.service user@1000.service\n",
        "x = 3.141592653589793238 + 2.718281828459045235 * 1e-16\n",
        "if (a+1 > b+2) { c = +1; d = -1; } /* +1 +2 +3 */\n",
        "for i in range(0, 1000000000): total += i  # sk-learn, api_reference, key_of_house\n",
        "INSERT INTO t VALUES (1, 22, 333, 4444, 55555, 666666, 7777777, 88888888);\n",
        "let re = /^[\\w.]+@[\\w.]+$/; assert(re.test(s)); // @param {string} s\n",
        "docker pull registry.example.com/app@sha256:" + hashlib.sha256(b"x").hexdigest(),
        "pip install 'django>=5.2,<6' numpy==1.26.4+cpu torch==2.1.0+cu121\n",
    ))  # fmt: skip


def _numbers(rng: Random) -> str:
    three = [str(rng.randint(100, 999)) for _ in range(2)]
    return rng.choice((
        f"ISBN 978-3-16-148410-0 and 979-10-90636-07-1, page {rng.randint(1, 900)}",
        f"EAN {some(rng, DIGITS, 13)}, SKU {some(rng, ALNUM, 10).upper()}",
        f"Tracking 1Z{some(rng, DIGITS, 16)} and RR{some(rng, DIGITS, 9)}DE",
        f"between {_moment(rng):%d.%m.%Y} and {_moment(rng):%Y/%m/%d %H:%M:%S} +02:00",
        f"EUR {rng.randint(1, 999)}.{'.'.join(three)},{rng.randint(10, 99)}",
        f"version {rng.randint(1, 20)}.{rng.randint(0, 9999)}.0+build.{rng.randint(1, 10**6)}",
        f"{rng.uniform(-90, 90):.15f}, {rng.uniform(-180, 180):.15f}",
        f"MAC {rng.randbytes(6).hex(':')}, IPv6 2001:db8::{rng.randint(1, 9999):x}",
        f"population {rng.randint(1, 9)} {' '.join(three)} (+{rng.randint(1, 9)} %)",
        f"call extension {rng.randint(100, 9999)} or (415) 555-{rng.randint(1000, 9999)}",
        f"the temperature rose by +{rng.randint(1, 40)} to {rng.randint(10, 60)} degrees",
        "1234567890123456789012345678901234567890",
    ))  # fmt: skip


def _base64(rng: Random) -> str:
    return f"data:image/png;base64,{base64.b64encode(rng.randbytes(rng.randint(90, 900))).decode()}"


def _json(rng: Random) -> str:
    seconds, name = rng.randint(1_500_000_000, 1_900_000_000), rng.choice(_WORDS)
    return (
        f'{{"id": {rng.randint(1, 2**53)}, "created": {seconds}, '
        f'"uuid": "{uuid.UUID(bytes=rng.randbytes(16))}", "etag": "W/\\"{some(rng, HEX, 32)}\\"", '
        f'"token_count": {rng.randint(1, 10**6)}, "name": "{name}\\n@{name}"}}'
    )


KINDS: Final[dict[str, Callable[[Random], str]]] = {
    "prose": _prose, "log": _log, "epochs": _epochs, "order": _order, "digits": _any_digits,
    "hashes": _hashes, "lock": _lock, "git": _git, "csv": _csv, "table": _table, "code": _code,
    "numbers": _numbers, "base64": _base64, "json": _json,
}  # fmt: skip


def _of_packages() -> Iterator[str]:
    """Pieces of the descriptions and licences of installed packages, by their names."""
    for package in sorted(metadata.distributions(), key=lambda one: one.name or ""):
        text = package.read_text("METADATA") or ""
        # The head names authors and their addresses.
        _, _, text = text.partition("\n\n")
        for n in range(0, min(len(text), 24_000), 1_200):
            yield text[n : n + 1_200]


def harmless() -> Iterator[tuple[str, str]]:
    """Yield 2,000 texts, each with its kind."""
    rng = Random(64)
    kinds = list(KINDS)
    for n in range(MADE):
        kind = kinds[n % len(kinds)]
        yield kind, KINDS[kind](rng)
    for text in islice(_of_packages(), COUNT - MADE):
        yield "package", text


LATER_SEED: Final = 2027


def _parcel(rng: Random) -> str:
    return f"parcel {some(rng, DIGITS, 14)}, tracking {rng.randint(10**19, 10**20 - 1)}"


def _invoice(rng: Random) -> str:
    return (
        f"PO-{rng.randint(2000, 2030)}-{some(rng, DIGITS, 6)}, invoice {some(rng, DIGITS, 8)}, "
        f"{rng.randint(1, 99)} items, total {rng.randint(1, 10**6) / 100:,.2f}"
    )


def _meter(rng: Random) -> str:
    return f"meter no. {some(rng, DIGITS, 9)}, reading {some(rng, DIGITS, 6)}"


def _account(rng: Random) -> str:
    return f"customer {some(rng, DIGITS, 10)}, contract {some(rng, DIGITS, 12)}"


def _trace(rng: Random) -> str:
    return (
        f"{rng.randint(10**17, 2 * 10**18)} "
        f"00-{rng.randbytes(16).hex()}-{rng.randbytes(8).hex()}-01 "
        f"v{rng.randint(0, 9)}.{rng.randint(0, 99)}.{rng.randint(0, 999)} "
        f"{rng.randint(0, 255)}.{rng.randint(0, 255)}.1.1:{rng.randint(1, 65_000)}"
    )


def _place(rng: Random) -> str:
    return (
        f"+{some(rng, '0', 1)}{some(rng, DIGITS, 3)}-0{some(rng, DIGITS, 4)} "
        f"{rng.uniform(-90, 90):.6f}, {rng.uniform(-180, 180):.7f}, ext. {rng.randint(10, 999)}, "
        f"room +{rng.randint(1, 9)}, +{rng.randint(1, 99)} %"
    )


_LATER: Final = (_parcel, _invoice, _meter, _account, _trace, _place)


def _of_the_library(rng: Random) -> Iterator[str]:
    """Pieces of the standard library's own source."""
    folder = Path(json.__file__).parents[1]
    files = sorted([*folder.glob("*.py"), *folder.glob("[a-z]*/*.py")])
    files = [file for file in files if file.parent.name not in ("test", "site-packages")]
    while True:
        text = rng.choice(files).read_text("utf-8", "replace")
        begin = rng.randrange(max(len(text) - 900, 1))
        yield text[begin : begin + 900]


def others() -> Iterator[tuple[str, str]]:
    """Yield 2,000 more texts, on which no guard was ever mended: numbers made by code, and source
    code."""
    rng = Random(LATER_SEED)
    for n in range(COUNT // 2):
        yield "made", _LATER[n % len(_LATER)](rng)
    for text in islice(_of_the_library(rng), COUNT // 2):
        yield "source", text
