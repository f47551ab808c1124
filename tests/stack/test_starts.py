"""How an installation is started: its place, its processes, and what it says."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lib.env import ConfigurationError
from stack import checks, origin, ports, probe, restore, up
from stack.checks import Exit, Refusal
from stack.database.postgres import Cluster
from stack.model import packages
from stack.processes import commands, supervisor
from stack.processes.processes import CannotStart
from stack.processes.reception import Reception
from stack.processes.supervisor import Child, ChildFailed, Console, Supervisor
from stack.up import Gate, Installation, Place, Preparation


def place(data: Path = Path("/data"), **over: Any) -> Place:
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 8000,
        "database_url": None,
        "started_at": 100.0,
    }
    return Place(data=data, **values | over)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is printed."""
    lines = list[str]()
    for module in (up, supervisor):
        monkeypatch.setattr(module, "log_line", lines.append)
    monkeypatch.setattr(supervisor, "OUTPUT", SimpleNamespace(put=lines.append))
    return lines


# Its place ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("fd00::1", "http://[fd00::1]:8000"),
        ("hub.example", "http://hub.example:8000"),
    ],
)
def test_address_is_one_that_this_machine_reaches(host: str, url: str) -> None:
    assert place(host=host).url == url


def test_command_line_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "PORT", "DATA_DIR", "DATABASE_URL", "WEIR_STARTED_AT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(up, "choose_port", lambda host: 8123)
    plain = up.read_place({})
    assert (plain.host, plain.port, plain.data) == ("127.0.0.1", 8123, origin.ROOT / ".data")
    assert (plain.database_url, plain.opens, plain.model) == (None, False, None)
    for name, value in {
        "HOST": "::", "PORT": "9000", "DATA_DIR": "/srv/weir", "DATABASE_URL": "postgresql://x",
        "WEIR_STARTED_AT": "12.5",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    read = up.read_place({})
    assert (read.host, read.port, read.data) == ("::", 9000, Path("/srv/weir"))
    assert (read.database_url, read.started_at) == ("postgresql://x", 12.5)
    named = up.read_place(
        {"host": "0.0.0.0", "port": "9001", "data": Path("/other"), "model": False, "opens": True}
    )
    assert (named.host, named.port, named.data) == ("0.0.0.0", 9001, Path("/other"))
    assert (named.model, named.opens) == (False, True)


@pytest.mark.parametrize(
    ("text", "port"),
    [("1", 1), ("65535", 65535), ("0", None), ("65536", None), ("80a", None), ("-1", None)],
)
def test_port_is_a_number_that_exists(text: str, port: int | None) -> None:
    if port is not None:
        assert ports.parse_port(text) == port
        return
    with pytest.raises(Refusal) as refusal:
        ports.parse_port(text)
    assert refusal.value.code == Exit.PORT


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_refused_port_names_a_free_one(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "next_free", lambda host, port: port + 7)
    with pytest.raises(Refusal) as refusal:
        ports.open_port("127.0.0.1", taken)
    assert refusal.value.code == Exit.PORT
    assert f"make run PORT={taken + 8}" in str(refusal.value)
    monkeypatch.setattr(origin, "PACKAGED", True)
    assert origin.start_line(data="/d", port=9000) == "weir run --data /d --port 9000"
    monkeypatch.setattr(origin, "PACKAGED", False)
    assert origin.start_line(data="/d", host="::") == "make run DATA_DIR=/d HOST=::"


def test_first_free_port_is_found(taken: int) -> None:
    assert not ports.port_free("127.0.0.1", taken)
    assert ports.next_free("127.0.0.1", taken) != taken
    with ports.open_port("127.0.0.1", 0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


# Its data folder ----------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    checks.open_data_dir(tmp_path / "data")
    return tmp_path / "data"


def refused(check: Callable[[], object]) -> tuple[Exit, str]:
    with pytest.raises(Refusal) as refusal:
        check()
    return refusal.value.code, str(refusal.value)


def test_unfit_data_folder_is_refused_with_its_own_code(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = data / "file"
    file.touch()
    assert refused(lambda: checks.open_data_dir(file / "below"))[0] == Exit.DATA_DIR
    assert checks.check_layout(data)
    assert not checks.check_layout(data)
    for version in (str(checks.LAYOUT + 1), "x"):
        (data / "layout").write_text(version)
        assert refused(lambda: checks.check_layout(data))[0] == Exit.NEWER_DATA
        assert (data / "layout").read_text() == version
    for free, fits in ((checks.FREE_BYTES_MIN, True), (checks.FREE_BYTES_MIN - 1, False)):
        space = SimpleNamespace(f_bavail=free, f_frsize=1)
        monkeypatch.setattr(os, "statvfs", lambda _, space=space: space)
        if fits:
            checks.check_space(data)
        else:
            assert refused(lambda: checks.check_space(data))[0] == Exit.NO_SPACE


def test_data_folder_has_one_installation(data: Path) -> None:
    with checks.lock(data):
        code, text = refused(lambda: checks.lock(data))
        assert (code, str(os.getpid()) in text) == (Exit.RUNNING, True)
    checks.lock(data).close()


def test_restored_folder_needs_the_old_secrets(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in restore.NEEDED:
        monkeypatch.delenv(name, raising=False)
        (data / "secrets" / name).write_text("x")
    restore.check_secrets(data)
    for name in restore.NEEDED:
        (data / "secrets" / name).unlink()
        code, text = refused(lambda: restore.check_secrets(data))
        assert (code, name in text) == (Exit.DATA_DIR, True)
        monkeypatch.setenv(name, "x")
        restore.check_secrets(data)


@pytest.mark.parametrize(
    ("wanted", "first", "locked", "planned"),
    [
        (None, True, True, True),
        (None, False, True, False),
        (True, False, True, True),
        (False, True, True, False),
        (True, True, False, False),
    ],
)
def test_model_is_fetched_at_the_first_start_or_on_request(
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    wanted: bool | None,
    first: bool,
    locked: bool,
    planned: bool,
) -> None:
    lock = data / "lock.txt"
    if locked:
        lock.touch()
    monkeypatch.setattr(packages, "LOCK", lock)
    monkeypatch.setattr(packages, "is_here", lambda _: False)
    packages.plan(data, wanted, first)
    assert packages.is_due(data, wanted) is packages.fresh(data).exists() is planned
    if planned:
        # What broke off is begun again, and what is planned can still be declined.
        assert packages.is_due(data, None)
        assert not packages.is_due(data, wanted=False)
        packages.finish(data)
        assert (packages.is_due(data, None), packages.folder(data).exists()) == (False, True)


# Its processes ------------------------------------------------------------------------------------


@pytest.fixture
async def installation(data: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.setenv("WEIR_KEK", "the-kek")
    for name in ("PUBLIC_URL", "WEIR_KEY_PEPPER", "WEIR_DEMO_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(packages, "is_here", lambda _: True)
    monkeypatch.setattr(packages, "has_library", lambda: True)
    listening: Any = SimpleNamespace(fileno=lambda: 7)
    console = Console(up.CHILDREN, colour=False)
    return Installation(
        place(data),
        Reception(listening),
        Supervisor(console),
        console,
    )


async def test_each_process_has_what_it_needs(installation: Installation) -> None:
    """Clients of an installation without a proxy cannot set their own address, and the server of
    the local model knows no secret but its own."""
    web = installation.web_child(Gate(), Preparation())
    assert "--no-proxy-headers" in web.command
    assert "--fd=7" in web.command
    assert (web.environment["WEIR_KEK"], web.environment["DRAIN_SECONDS"]) == ("the-kek", "3")
    assert web.environment["PUBLIC_URL"] == "http://127.0.0.1:8000"
    assert (web.leaf, web.stop, 7 in web.passed) == (True, signal.SIGTERM, True)
    model = installation.model_child()
    assert model.environment["WEIR_MODEL_KEY"] == installation.environment["WEIR_MODEL_KEY"]
    assert "WEIR_KEY_PEPPER" not in model.environment
    assert "WEIR_DEMO_KEY" not in model.environment
    worker = installation.worker_child()
    assert ("--with-beat" in worker.command, worker.leaf) == (True, True)
    cluster = Cluster(Path("/d"), Path("/s"), Path("/p"), "pw", "keep", durable=True)
    database = installation.postgres_child(cluster)
    assert (database.stop, database.orphan, database.leaf) == (
        signal.SIGINT, signal.SIGINT, False,
    )  # fmt: skip


class _Children:
    """In place of a supervisor: each process serves at once, except a model with a `fault`."""

    def __init__(self, fault: ChildFailed | None = None) -> None:
        self.launched = list[str]()
        self.worker = asyncio.Event()
        self._fault = fault

    def launch(self, child: Child) -> Child:
        self.launched.append(child.name)
        if child.name == "web":
            assert child.on_line is not None
            child.on_line('{"sign_in": "https://h/link", "mark": ""}')
        if child.name == "worker":
            self.worker.set()
        return child

    async def serving(self, child: Child) -> None:
        assert child.name == "web"

    async def start(self, child: Child) -> None:
        assert child.name == "model"
        self.launched.append(child.name)
        if self._fault is not None:
            raise self._fault


@pytest.fixture
def starting(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """One with a database elsewhere, whose first page is served at 101.5 and whose model answers at
    104.25, and a download that ends after the worker has started."""
    installation.place = place(installation.place.data, database_url="postgres://elsewhere/weir")
    listening = SimpleNamespace(fileno=lambda: 7)
    other: Any = SimpleNamespace(listening=listening, close=lambda: None)
    installation.reception = other
    for name, double in (
        ("Gate", SimpleNamespace(waiting=8, open=lambda order: None)),
        ("Spare", SimpleNamespace(theirs=9, adopt=lambda: None)),
    ):
        monkeypatch.setattr(up, name, lambda double=double: double)
    monkeypatch.setattr(probe, "time_first_page", lambda *_: 101.5)
    monkeypatch.setattr(probe, "time_first_token", lambda *_: 104.25)

    async def fetch_model() -> bool:
        children: Any = installation.supervisor
        await children.worker.wait()
        return True

    monkeypatch.setattr(installation, "fetch_model", fetch_model)
    return installation


async def start(installation: Installation, children: Any, fetches: bool) -> None:
    installation.supervisor, installation.fetches = children, fetches
    async with asyncio.timeout(5):
        await installation.start()


@pytest.mark.parametrize(
    ("fetches", "launched"),
    [(True, ["web", "worker", "model"]), (False, ["web", "model"])],
    ids=["fetched meanwhile", "already here"],
)
async def test_start_fails_if_its_model_does(
    starting: Installation, said: list[str], fetches: bool, launched: list[str]
) -> None:
    """People may be signed in already: whoever started it learns of it all the same."""
    children = _Children(ChildFailed("model", "was not ready within 30 s", []))
    with pytest.raises(ChildFailed, match="model was not ready within 30 s"):
        await start(starting, children, fetches)
    assert children.launched == launched
    assert not any("it answers" in line for line in said)


@pytest.mark.parametrize(
    ("fetches", "launched", "end"),
    [
        (True, ["web", "worker", "model"], "first page after 1.5 s\n"),
        (False, ["web", "model", "worker"], "first page after 1.5 s, first token after 4.2 s\n"),
    ],
    ids=["fetched meanwhile", "already here"],
)
async def test_start_ends_when_its_model_answers(
    starting: Installation, said: list[str], fetches: bool, launched: list[str], end: str
) -> None:
    """A download is told when it is of use; without one the time of the first token is told."""
    children = _Children()
    await start(starting, children, fetches)
    assert children.launched == launched
    assert [end in line for line in said if "first page after" in line] == [True]
    assert said[-1].endswith("model: it answers") is fetches
    assert not starting.console.quiet


async def test_preparation_waits_for_a_database_of_its_own(installation: Installation) -> None:
    external = installation.preparation()
    assert (external["seconds"], len(external["files"])) == (up.EXTERNAL_SECONDS, 2)
    installation.cluster = Cluster(Path("/d"), Path("/s"), Path("/p"), "", "keep", durable=True)
    installation.has_model = False
    own = installation.preparation()
    assert (own["seconds"], own["files"]) == (up.EMBEDDED_SECONDS, [str(up.DEMO)])


def test_lines_before_the_link_are_steps_and_the_link_is_secret() -> None:
    preparation = Preparation()
    assert not preparation.on_line("tables made")
    assert preparation.on_line('{"sign_in": "https://h/link", "mark": "m"}')
    assert not preparation.on_line("a log line")
    assert (preparation.steps, preparation.sign_in, preparation.mark) == (
        ["tables made"], "https://h/link", "m",
    )  # fmt: skip


def test_commands_behind_a_proxy() -> None:
    web = commands.web_command("::", 9000, "10.0.0.0/8")
    assert {"--host=::", "--port=9000", "--proxy-headers"} < {*web}
    assert "--forwarded-allow-ips=10.0.0.0/8" in web
    assert "--with-beat" not in commands.worker_command(8)
    worker = commands.worker_command(8)
    assert worker[worker.index("--concurrency") + 1] == "8"
    assert "beat" in commands.SCHEDULER


def test_database_keeps_what_it_has_accepted() -> None:
    """P17: but that of a test run need not."""

    def settings(durable: bool) -> set[str]:
        return {
            *Cluster(Path("/d"), Path("/s,x"), Path("/p"), "pw", "keep", durable=durable).command
        }

    assert {"fsync=on", "synchronous_commit=on", "full_page_writes=on"} < settings(durable=True)
    assert {"listen_addresses=", "unix_socket_permissions=0600"} < settings(durable=True)
    assert "fsync=off" in settings(durable=False)


# What it says -------------------------------------------------------------------------------------


async def test_newcomer_is_told_the_address_the_link_and_the_key(
    installation: Installation, said: list[str]
) -> None:
    installation.announce("https://h/link")
    key = installation.environment["WEIR_DEMO_KEY"]
    assert all(text in said[0] for text in ("http://127.0.0.1:8000", "https://h/link", key))
    installation.announce_end(103.25, 105.5)
    assert all(text in said[1] for text in ("curl -N", "after 3.2 s", "after 5.5 s"))
    assert str(installation.place.data) in said[1]
    installation.has_model, installation.lacks_library = False, True
    installation.announce_end(103.25, None)
    assert "libgomp" in said[2]
    assert ("curl" in said[3], "token" in said[3]) == (False, False)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refusal(Exit.PORT, "taken"), Exit.PORT),
        (ConfigurationError("wrong"), Exit.SETTING),
        (CannotStart("missing"), Exit.CHILD),
        (ChildFailed("web", "ended", ["last line"]), Exit.CHILD),
        (None, 0),
    ],
)
def test_exit_code_says_what_stopped_it(
    monkeypatch: pytest.MonkeyPatch, said: list[str], error: Exception | None, code: int
) -> None:
    def begin(options: Any) -> Place:
        if error is not None:
            raise error
        return place()

    for name in ("open_data_dir", "check_layout", "check_space"):
        monkeypatch.setattr(up, name, lambda *_: None)
    for name in ("lock", "open_port"):
        monkeypatch.setattr(up, name, lambda *_: nullcontext())
    monkeypatch.setattr(packages, "plan", lambda *_: None)
    monkeypatch.setattr(asyncio, "run", lambda work: work.close())
    monkeypatch.setattr(up, "read_place", begin)
    assert up.main({}) == code
    assert ("Stopped." in said) is (code == 0)
    if isinstance(error, ChildFailed):
        assert said[0] == "  | last line"


@pytest.mark.parametrize(
    ("code", "text"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "SIGKILL"), (-99, "signal 99")]
)
def test_end_of_a_process_in_words(code: int, text: str) -> None:
    assert supervisor.describe(code) == text


def test_lines_of_processes_have_their_names(
    monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    console = Console(["web", "worker"], colour=False)
    console.show("web", "before the start ended")
    console.quiet = False
    console.show("web", "a")
    console.show("worker", "b")
    monkeypatch.setattr(supervisor, "LOGS_JSON", True)
    console.show("web", '{"level": "INFO", "process": "other"}')
    console.show("web", "plain")
    assert said[:3] == ["web    | a", "worker | b", '{"level": "INFO", "process": "web"}']
    assert '"message": "plain", "process": "web"' in said[3]
