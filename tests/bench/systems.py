"""What is measured: each with its processes and the head of its requests."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.ports import free_port
from tests.bench import peers
from tests.bench.client import Load, Target, run
from tests.bench.hub import BareWeb, Web, customer, web
from tests.bench.process import BenchError, Process
from tests.fakes.upstream import FakeUpstream

DIRECT, NGINX, WEIR, BARE = "direct", "nginx", "weir", "weir without books"
INSTALLED = "weir as installed"
LITELLM, PORTKEY = "LiteLLM", "Portkey"
POSTGRES = "postgres"
PEERS = (NGINX, LITELLM, PORTKEY)

_START_S = 90.0
_FAKE_KEY = "sk-fake"
_LITELLM_KEY = "sk-bench"
_HELLO = b'{"model":"%b","messages":[{"role":"user","content":"hello"}]}'

# As deploy/nginx has it: streams go through unbuffered, bodies as they come, connections are kept.
_NGINX = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_timeout 75s;
    keepalive_requests 1000000;
    upstream provider {{
        server 127.0.0.1:{upstream};
        keepalive 256;
        keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 128m;
        location / {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_buffer_size 16k;
            proxy_buffers 4 16k;
            proxy_read_timeout 31m;
            proxy_pass http://provider;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Part:
    """Processes that are counted together, by the pids at the top of them; of `postgres` also what
    it does in the background."""

    name: str
    roots: tuple[int, ...]


@dataclass(frozen=True)
class System:
    """One way to the provider. `parts` is what it costs; the direct way costs nothing."""

    name: str
    target: Target
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Ground:
    """What all stand on: the provider, our database, and a folder for files."""

    fake: FakeUpstream
    dsn: str
    postgres: int
    folder: Path


@contextmanager
def open_direct(ground: Ground) -> Iterator[System]:
    target = Target(ground.fake.port, (("Authorization", f"Bearer {_FAKE_KEY}"),), "fake")
    yield System(DIRECT, target, ())


@contextmanager
def open_nginx(ground: Ground) -> Iterator[System]:
    port = free_port()
    file = ground.folder / "nginx.conf"
    file.write_text(_NGINX.format(folder=ground.folder, upstream=ground.fake.port, port=port))
    command = [str(peers.nginx()), "-e", "stderr", "-c", str(file)]
    with _served(NGINX, command, port, _bearer(_FAKE_KEY), ground) as system:
        yield system


@contextmanager
def open_litellm(ground: Ground) -> Iterator[System]:
    """Its documented production settings: errors logged as JSON, one worker, a master key.

    By default it holds no more than 500 requests to one provider at a time; the others have no
    such limit, so that it is raised.
    """
    port = free_port()
    file = ground.folder / "litellm.yaml"
    provider = {"model": "openai/fake", "api_key": _FAKE_KEY, "api_base": ground.fake.url}
    file.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": "fake", "litellm_params": provider}],
                "litellm_settings": {
                    "set_verbose": False,
                    "json_logs": True,
                    "request_timeout": 600,
                },
                "general_settings": {"master_key": _LITELLM_KEY},
            }
        )
    )
    command = [str(peers.litellm()), "--config", str(file), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1", "--telemetry", "False"]
    environment = {
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "AIOHTTP_CONNECTOR_LIMIT": "4000",
        "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "4000",
    }
    with _served(LITELLM, command, port, _bearer(_LITELLM_KEY), ground, environment) as system:
        yield system


@contextmanager
def open_portkey(ground: Ground) -> Iterator[System]:
    port = free_port()
    node, first, server = peers.portkey()
    command = [str(node), "-r", str(first), str(server), "--headless", f"--port={port}"]
    headers = (
        *_bearer(_FAKE_KEY),
        ("x-portkey-provider", "openai"),
        ("x-portkey-custom-host", ground.fake.url),
    )
    with _served(PORTKEY, command, port, headers, ground, {"NODE_ENV": "production"}) as system:
        yield system


@contextmanager
def open_weir(ground: Ground) -> Iterator[System]:
    with web(Web, ground.dsn) as hub:
        assert hub.served is not None
        parts = (Part("web", (hub.served.pid,)), Part(POSTGRES, (ground.postgres,)))
        yield System(WEIR, customer(hub, ground.fake), parts)


@contextmanager
def open_bare(ground: Ground) -> Iterator[System]:
    with web(BareWeb, ground.dsn) as hub:
        assert hub.served is not None
        target = customer(hub, ground.fake)
        yield System(BARE, target, (Part("web", (hub.served.pid,)),))


@contextmanager
def _served(
    name: str,
    command: list[str],
    port: int,
    headers: tuple[tuple[str, str], ...],
    ground: Ground,
    environment: dict[str, str] | None = None,
) -> Iterator[System]:
    """A peer that has answered its first request."""
    process = Process(
        command,
        ground.folder / f"{name}.log",
        environment=_clean(environment or {}),
        folder=ground.folder,
    )
    try:
        target = Target(port, headers, "fake")
        _await_answer(process, target)
        yield System(name, target, (Part("all", (process.pid,)),))
    finally:
        process.stop()


def _bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("Authorization", f"Bearer {key}"),)


def _clean(wanted: dict[str, str]) -> dict[str, str]:
    """Nothing of our own settings reaches a peer: it would take our database for its own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, **wanted}


def _await_answer(process: Process, target: Target) -> None:
    """Wait until a request is answered through it."""
    end = time.monotonic() + _START_S
    while True:
        process.check_alive()
        try:
            with closing(socket.create_connection(("127.0.0.1", target.port), 1)):
                break
        except OSError:
            if time.monotonic() > end:
                raise BenchError(f"{process.log.stem} does not start:\n{_last(process)}") from None
            time.sleep(0.1)
    try:
        run(target, Load(_HELLO % target.model.encode(), 1, times=1))
    except (BenchError, OSError) as error:
        raise BenchError(f"{process.log.stem}: {error}\n{_last(process)}") from error


def _last(process: Process) -> str:
    return process.log.read_text(errors="replace")[-2000:]


OPENERS: dict[str, Callable[[Ground], AbstractContextManager[System]]] = {
    DIRECT: open_direct,
    NGINX: open_nginx,
    WEIR: open_weir,
    BARE: open_bare,
    LITELLM: open_litellm,
    PORTKEY: open_portkey,
}
