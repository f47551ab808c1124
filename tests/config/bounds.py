"""The bounds of accounts, billing, notify, config and lib as rows: each at the bound and one beyond
it. The first bounds of accounts and billing, what decides about money and authority, are in
`test_bounds.py`."""

import asyncio
import datetime as dt
import io
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from functools import cache
from types import SimpleNamespace
from typing import Any, Final, cast
from unittest.mock import patch

import openpyxl
import yaml
from django.http import HttpResponse
from django.test import RequestFactory

from accounts.access.actors import SYSTEM
from accounts.audit_log import facts
from accounts.device_sign_in.rules import read_user_code
from accounts.limits.forms import CachingForm
from accounts.mail_server import mail_server
from accounts.organisations.organisations import set_data_policy
from billing.models import Overage
from billing.prices.multipliers import Multiplier
from billing.subscriptions import subscription_plans
from billing.subscriptions.included_units import UnitTerm
from billing.subscriptions.rules import Terms
from billing.topups import views as topup_views
from billing.trials.trials import save_trial_setting
from config.api.api import StrictParser
from config.apply import yaml_source
from config.management.commands import verify
from config.server.request_limits import RequestLimits, _Body
from config.shell import context_processors
from config.shell.palette_ranking import _begins_nearly
from config.system import rows
from config.system.state import SinkState, SystemState
from config.templatetags.ui import contents
from lib.files.sheets import sheet_rows
from lib.network.credential_sources import FileDenied, read_token_file
from lib.network.outbound import Proxy, ProxyFault, check_login, tunnel
from lib.process.asgi import HEED, RESPOND
from lib.tables.sources import Count, count_text
from notify.deliveries import sending
from notify.endpoints import endpoints
from notify.endpoints.chat_services import cut_text
from notify.models import WebhookEndpoint
from tests.config.server.test_protocol import Asked, Transport, body, connect, finish, start
from tests.support.bounds import Bound, agreed
from tests.support.cast import Cast, actor
from usage.sinks.usage_sink import Backlog

HEAD: Final = b"GET / HTTP/1.1\r\nhost: h\r\n"


def mail_from(port: int) -> None:
    mail_server._check(
        {
            "host": "mail.example.org", "port": port, "encryption": "tls", "username": "",
            "sender": "",
        }
    )  # fmt: skip


def caches(seconds: int) -> bool:
    return "cache_seconds" not in CachingForm({"cache_seconds": seconds}).errors


def write_plan(price_nano: int, included_nano: int) -> None:
    terms = Terms(price_nano, included_nano)
    subscription_plans.write_plan(SYSTEM, f"{price_nano} for {included_nano}", terms)


def check_units(*, terms: int = 1, models: int = 1, units: int = 1) -> None:
    lines = [
        UnitTerm("in_text", tuple(f"m{line}-{n}" for n in range(models)), units)
        for line in range(terms)
    ]
    subscription_plans._check_units(lines, Overage.BALANCE)


def takes_event(size: int, said: object) -> bool:
    """Whether an event of so many bytes is read, which says that it has others."""
    request = RequestFactory().post("/", b"x" * size, content_type="application/json")
    request.META["CONTENT_LENGTH"] = said
    with patch.object(topup_views, "take_event", lambda *_: None):
        answer: HttpResponse = topup_views.processor_event(request, "stripe")
    return answer.status_code == 200


def reads_answer(length: int) -> bool:
    """Whether a chat's answer of so many bytes is read, in two pieces."""
    answer = SimpleNamespace(iter_raw=lambda: iter((b"x" * (length - 1), b"y")))
    return len(sending._beginning_of(cast(Any, answer))) == length


def create_webhooks(people: Cast, count: int) -> None:
    """Create a webhook that is the so manieth of its organisation."""
    WebhookEndpoint.objects.bulk_create(
        [
            WebhookEndpoint(organisation=people.acme, url=f"https://{n}.example/", sealed=b"-")
            for n in range(1, count)
        ]
    )
    endpoints.create_endpoint(SYSTEM, people.acme, "https://new.example/")


def parse(depth: int) -> None:
    """Read a body of so many lists in each other."""
    raw = b"[" * depth + b"]" * depth
    StrictParser().parse_body(RequestFactory().post("/", raw, content_type="application/json"))


class Filled(dict[yaml_source.Path, int]):
    """The lines of so many values that nobody looks at again."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def __len__(self) -> int:
        return self._count + super().__len__()


def reads_value(count: int) -> bool:
    """Whether a value is read that is the so manieth of its file."""
    reader = yaml_source._Reader(yaml.SafeLoader(""))
    reader.lines = Filled(count - 1)
    try:
        reader.value(yaml.ScalarNode("tag:yaml.org,2002:str", "a"), (), 1)
    except yaml_source.FileInvalid:
        return False
    return True


def shows_problems(count: int) -> bool:
    """Whether each of so many problems is written."""
    wrong = [(n, "is wrong") for n in range(count)]
    found = {
        "broken_in_all": lambda: SimpleNamespace(broken={}, unfinished=[]),
        "wrong_charges": lambda: wrong, "find_unsealed": lambda cursor: [],
        "used_copies": list, "job_states": list,
    }  # fmt: skip
    written = io.StringIO()
    with ExitStack() as stack:
        for name, does in found.items():
            stack.enter_context(patch.object(verify, name, does))
        with suppress(SystemExit):
            verify.Command(cast(Any, written)).handle(tamper_check=False)
    return written.getvalue().count("is wrong\n") == count and "more" not in written.getvalue()


# The server --------------------------------------------------------------------------------------


def reads(data: bytes) -> bool:
    """Whether a request is answered or, where it is unfinished, awaited."""

    async def ask() -> Transport:
        protocol, transport = connect(Asked())
        protocol.data_received(data)
        await finish(protocol)
        return transport

    transport = asyncio.run(ask())
    assert not transport.closed or transport.written[0].startswith(b"HTTP/1.1 431 ")
    return not transport.closed


def headers(count: int) -> bytes:
    return HEAD + b"".join(b"x%d: y\r\n" % n for n in range(count - 1)) + b"\r\n"


def unfinished_head(size: int) -> bytes:
    return (HEAD + b"x: ").ljust(size, b"y")


def counted_head(size: int) -> bytes:
    """A head whose address and header lines have so many bytes."""
    return HEAD + b"x: " + b"y" * (size - len("/hosth....x....")) + b"\r\n\r\n"


def whole_head(size: int) -> bytes:
    """A head of so many bytes in all. Its lines have no spaces, so that it counts as larger."""
    lines = HEAD + b"".join(b"x%d:y\r\n" % n for n in range(80))
    return lines + b"z:" + b"y" * (size - len(lines) - 6) + b"\r\n\r\n"


def queues(ahead: int) -> bool:
    """Whether so many requests may be sent ahead; and behind the last of them nothing is read."""
    over = asyncio.Event()

    async def app(scope: Any, receive: object, send: object) -> None:
        scope[HEED](scope, lambda: None)
        await over.wait()

    async def ask() -> bool:
        protocol, transport = connect(app)
        protocol.data_received(HEAD + b"\r\n")
        await asyncio.sleep(0)
        for _ in range(ahead):
            protocol.data_received(HEAD + b"\r\n")
        taken = not transport.closed and transport.paused[-1]
        protocol.connection_lost(None)
        over.set()
        await finish(protocol)
        return taken

    return asyncio.run(ask())


def asked_once(app: Callable[[Any, Any, Any], Awaitable[None]]) -> Transport:
    """What an application writes for one request."""

    async def ask() -> Transport:
        protocol, transport = connect(app)
        protocol.access_log = False
        protocol.data_received(HEAD + b"\r\n")
        await finish(protocol)
        protocol.connection_lost(None)
        return transport

    return asyncio.run(ask())


def responds(length: int) -> bool:
    """Whether a body of that length is written at once with its head."""
    done: list[bool] = []

    async def app(scope: Any, receive: object, send: Any) -> None:
        done.append(scope[RESPOND](scope, 200, [(b"a", b"b")], b"x" * length))
        if not done[0]:
            await start(send, (b"content-length", b"0"))
            await body(send, b"")

    asked_once(app)
    return done[0]


def joins(length: int) -> bool:
    """Whether a body's first part of that length is written together with the head."""

    async def app(scope: object, receive: object, send: Any) -> None:
        await start(send, (b"content-length", b"%d" % length))
        await body(send, b"x" * length)

    written = asked_once(app).written
    assert b"".join(written).endswith(b"\r\n\r\n" + b"x" * length)
    return len(written) == 1


def knows(count: int) -> bool:
    """Whether the first caller is still known after so many."""
    limits = RequestLimits(None)
    earlier = (b"%d" % n for n in range(count - 1))
    limits._known = OrderedDict.fromkeys(earlier, limits._callers)
    limits._remember(b"new")
    return b"0" in limits._known and b"new" in limits._known


def shares_room(bytes_max: int) -> bool:
    """Whether a body that may have so many bytes is none of an upload."""
    read = _Body(RequestLimits(None))
    read._bytes_max = bytes_max
    return not read._upload


# What pages show ---------------------------------------------------------------------------------


def shows_reviews(people: Cast, count: int) -> bool:
    with patch.object(context_processors, "count_open", lambda actor: count):
        return context_processors._reviews_open(actor(people.dora)) == str(count)


def forgives_typo(letters: int) -> bool:
    """Whether a word of so many letters is found though its second letter is another."""
    word = "elephant"[:letters]
    return _begins_nearly(f"{word[0]}x{word[2:]}", [word])


def shows_waiting(count: int) -> bool:
    sink = SinkState("hub", "Hub", Backlog(count, dt.datetime.now(dt.UTC), ""))
    return rows._sink(sink).value == f"{count:,} records waiting"


def is_punctual(skew_us: int) -> bool:
    state = SimpleNamespace(clock_skew=dt.timedelta(microseconds=skew_us))
    return cast(Any, SystemState.clock_off).fget(state) is False


def lists_parts(count: int) -> bool:
    page = "".join(f'<h2 id="p{n}">Part {n}</h2>' for n in range(count))
    return str(cast(Any, contents)(page)).count('<a href="#p') == count


# Files and the network ---------------------------------------------------------------------------


@cache
def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["Date", "Cost"])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def read_workbook(unpacked: int) -> None:
    """Read a workbook whose directory says that it has so many bytes unpacked."""
    file = io.BytesIO(workbook())
    with zipfile.ZipFile(file, "a") as packed:
        known = sum(member.file_size for member in packed.infolist())
        packed.writestr("more", b"")
        packed.getinfo("more").file_size = unpacked - known
    file.seek(0)
    assert next(sheet_rows(file))[:2] == ("Date", "Cost")


def reads_token(length: int) -> bool:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"t" * length)
        file.flush()
        try:
            return len(read_token_file(file.name, [file.name])) == length
        except FileDenied:
            return False


def connects(length: int) -> bool:
    """Whether the end of a proxy's answer is awaited after so many bytes."""
    talk = tunnel(Proxy("http", "proxy.example", 8080), "a.example", 443)
    next(talk)
    try:
        talk.send(b"HTTP/1.1 200 OK\r\nx: ".ljust(length, b"y"))
    except ProxyFault:
        return False
    with suppress(StopIteration):
        talk.send(b"\r\n\r\n")
    return True


BOUNDS: Final[dict[str, Bound]] = {
    "accounts/audit_log/facts.py:_clean:_LENGTH_MAX": Bound(
        lambda _, n: facts._clean("n" * n) == "n" * n, None, 80
    ),
    "accounts/audit_log/facts.py:_join_texts:_LISTED_MAX": Bound(
        lambda _, n: facts._join_texts("abcd"[:n]) == ", ".join("abcd"[:n]), None, 3
    ),
    "accounts/device_sign_in/rules.py:read_user_code:LENGTH": Bound(
        lambda _, n: read_user_code("W" * n) != "", 8, 8
    ),
    "accounts/limits/forms.py:clean_cache_seconds:SECONDS_MAX": Bound(
        lambda _, n: caches(n), 60, None
    ),
    "accounts/mail_server/mail_server.py:_check:PORT_MAX": Bound(
        lambda _, n: mail_from(n), 1, 65_535
    ),
    "accounts/organisations/organisations.py:set_data_policy:REGIONS_MAX": Bound(
        lambda people, n: set_data_policy(
            people.acme, zero_retention=False, regions=["eu"] * n, actor=SYSTEM
        ),
        None,
        20,
    ),
    "billing/subscriptions/subscription_plans.py:_check_multipliers:MULTIPLIERS_MAX": Bound(
        lambda _, n: subscription_plans._check_multipliers(
            [Multiplier(f"m{one}", 500_000) for one in range(n)]
        ),
        None,
        50,
    ),
    "billing/subscriptions/subscription_plans.py:_check_units:MODELS_MAX": Bound(
        lambda _, n: check_units(models=n), None, 20
    ),
    "billing/subscriptions/subscription_plans.py:_check_units:TERMS_MAX": Bound(
        lambda _, n: check_units(terms=n), None, 20
    ),
    "billing/subscriptions/subscription_plans.py:_check_units:UNITS_MAX": Bound(
        lambda _, n: check_units(units=n), 1, 10**15
    ),
    "billing/subscriptions/subscription_plans.py:write_plan:MONTH_MAX_NANO": Bound(
        lambda _, n: agreed(lambda: write_plan(n, 1), lambda: write_plan(1, n)), 0, 10**15
    ),
    "billing/topups/views.py:processor_event:_BODY_MAX": Bound(
        lambda _, n: agreed(lambda: takes_event(1, n), lambda: takes_event(n, "")), None, 262_144
    ),
    "billing/trials/trials.py:save_trial_setting:DAYS_MAX": Bound(
        lambda _, n: save_trial_setting(SYSTEM, days=n), None, 3_650
    ),
    "notify/deliveries/sending.py:_beginning_of:_ANSWER_MAX": Bound(
        lambda _, n: reads_answer(n), None, 16_384
    ),
    "notify/endpoints/chat_services.py:cut_text:TEXT_BYTES_MAX": Bound(
        lambda _, n: cut_text("é" + "t" * (n - 2)) == "é" + "t" * (n - 2), None, 2_048
    ),
    "notify/endpoints/endpoints.py:_check_chat_secret:CHAT_SECRET_MAX": Bound(
        lambda _, n: endpoints._check_chat_secret("feishu", "s" * n), None, 200
    ),
    "notify/endpoints/endpoints.py:create_endpoint:ENDPOINTS_MAX": Bound(create_webhooks, None, 20),
    "config/api/api.py:_check:_DEPTH_MAX": Bound(lambda _, n: parse(n), None, 64),
    "config/apply/yaml_source.py:value:_VALUES_MAX": Bound(
        lambda _, n: reads_value(n), None, 1_000_000
    ),
    "config/management/commands/verify.py:handle:_SHOWN_MAX": Bound(
        lambda _, n: shows_problems(n), None, 5
    ),
    "config/server/protocol.py:_head_too_large:HEAD_BYTES_MAX": Bound(
        lambda _, n: reads(counted_head(n)), None, 32_768
    ),
    "config/server/protocol.py:data_received:HEAD_BYTES_MAX": Bound(
        lambda _, n: reads(unfinished_head(n)), None, 32_768
    ),
    "config/server/protocol.py:on_headers_complete:HEADERS_MAX": Bound(
        lambda _, n: reads(headers(n)), None, 100
    ),
    "config/server/protocol.py:on_headers_complete:HEAD_BYTES_MAX": Bound(
        lambda _, n: reads(whole_head(n)), None, 32_768
    ),
    "config/server/protocol.py:on_headers_complete:_AHEAD_MAX": Bound(
        lambda _, n: queues(n), None, 8
    ),
    "config/server/protocol.py:respond:_JOINED_BYTES_MAX": Bound(
        lambda _, n: responds(n), None, 65_536
    ),
    "config/server/protocol.py:write:_JOINED_BYTES_MAX": Bound(lambda _, n: joins(n), None, 65_536),
    "config/server/request_limits.py:_remember:_KNOWN_MAX": Bound(
        lambda _, n: knows(n), None, 10_000
    ),
    "config/server/request_limits.py:_upload:BODY_BYTES_MAX": Bound(
        lambda _, n: shares_room(n), 3_145_728, 3_145_728
    ),
    "config/shell/context_processors.py:_reviews_open:COUNT_MAX": Bound(shows_reviews, None, 99),
    "config/shell/palette_ranking.py:_begins_nearly:_TYPO_LETTERS_MIN": Bound(
        lambda _, n: forgives_typo(n), 4, None
    ),
    "config/system/rows.py:_sink:WAITING_MAX": Bound(lambda _, n: shows_waiting(n), None, 99_999),
    "config/system/state.py:clock_off:SKEW_MAX": Bound(
        lambda _, n: is_punctual(n), -2_000_000, 2_000_000
    ),
    "config/templatetags/ui.py:contents:_PARTS_MIN": Bound(lambda _, n: lists_parts(n), 3, None),
    "lib/files/sheets.py:_workbook_rows:_UNPACKED_MAX": Bound(
        lambda _, n: read_workbook(n), None, 268_435_456
    ),
    "lib/network/credential_sources.py:read_token_file:ANSWER_BYTES_MAX": Bound(
        lambda _, n: reads_token(n), None, 65_536
    ),
    "lib/network/outbound.py:_connect:_HEAD_BYTES_MAX": Bound(
        lambda _, n: connects(n), None, 16_384
    ),
    "lib/network/outbound.py:check_login:_LOGIN_BYTES_MAX": Bound(
        lambda _, n: agreed(
            lambda: check_login("u" * n + ":p"), lambda: check_login("u:" + "p" * n)
        ),
        None,
        255,
    ),
    "lib/tables/sources.py:count_text:COUNTED_MAX": Bound(
        lambda _, n: count_text(n) == Count(n), None, 10_000
    ),
}
ELSEWHERE: Final[dict[str, str]] = {}
UNSEEN: Final[dict[str, str]] = {}
