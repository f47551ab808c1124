"""The production shape on this machine: the commands and environments of docker-compose.yml.

What stands in for a container: the image's folder is put together by the Dockerfile's own COPY and
RUN lines, mounted files are copied to where the service would see them, and the names of
containers, their ports and absolute paths become local ones. Nothing else is changed, and nothing
of the test's own environment reaches a process.
"""

import copy
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from stack.test_programs import servers
from tests.deploy import files
from tests.runner.programs import need
from tests.support.ports import free_port

# What is waited for comes; how soon is a matter of this machine's other work.
WAIT_SECONDS = 120
PATH = f"{Path(sys.executable).parent}:{servers.SYSTEM}"
_INSTALLS = re.compile(r"^pip |-m venv ")
TRIAL_NETWORK = "172.31.250.0/24"
_UPSTREAM = re.compile(r"server web:8000 resolve( [^;]*);")


def until(holds: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Block until it holds; ask ever less often, for what starts needs the machine too, and a
    question may be a process. AssertionError after so many seconds: it never did."""
    deadline, pause_s = time.monotonic() + seconds, 0.02
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, what
        pause.wait(pause_s)
        pause_s = min(1.3 * pause_s, 0.25)


def accepts(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS).close()
    except ConnectionRefusedError:
        return False
    return True


class Running(NamedTuple):
    """One process of a service, and where its words are written."""

    name: str
    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def told(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self, number: signal.Signals) -> int:
        """The exit code after that signal."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)


class Shape:
    """Starts services one by one; `close` ends what is still there."""

    def __init__(
        self,
        directory: Path,
        fields: Mapping[str, str],
        database_url: str,
        root: Path = files.ROOT,
    ) -> None:
        """`root` is the tree whose files these are."""
        for name in ("nginx", "redis-server", "redis-cli", "curl", "openssl"):
            need(name)
        self.directory = directory
        self.root = root
        self.given = fields
        self.database_url = database_url
        # Without Caddy, unless a test asks for it.
        self.services = files.services({"EDGE": "plain", **fields}, root=root)
        self.redis_port = free_port()
        self.edge_port = free_port()
        self.tls_port, self.redirect_port = free_port(), free_port()
        self.provider_port = free_port()
        self.image = directory / "image/app"
        self.webs: list[Running] = []
        # Those that the edge asks, of which each web process takes one that is free; where none are
        # given, those of the processes that run when the edge is started.
        self.web_ports: list[int] = []
        self.running: list[Running] = []

    def build(self) -> None:
        """Do what the Dockerfile does after the packages are installed."""
        for instruction in files.dockerfile(self.root)[0]:
            if instruction.name == "COPY":
                *sources, target = self.inside("image", instruction.text).split()
                for source in sources:
                    self._copy(source, target)
            elif instruction.name == "RUN" and not _INSTALLS.search(instruction.text):
                self._run(instruction)

    def _copy(self, source: str, target: str) -> None:
        paths = [Path(name) for name in glob.glob(source, root_dir=self.root)]
        assert paths, f"COPY {source}: there is no such file"
        for one in paths:
            if (self.root / one).is_dir():
                # With its bytecode, which holds as long as a file's size and time are the same: to
                # compile all of it takes as long as many tests. What is just being written is not.
                unfinished = shutil.ignore_patterns("*.pyc.*")
                shutil.copytree(self.root / one, self.image / target, ignore=unfinished)
            else:
                (self.image / target).mkdir(parents=True, exist_ok=True)
                shutil.copy(self.root / one, self.image / target / one.name)

    def _run(self, instruction: files.Instruction) -> None:
        environment = {
            name: self.inside("image", value)
            for name, value in files.environment_of(files.dockerfile(self.root)[0]).items()
        }
        subprocess.run(
            [self.inside("image", word) for word in instruction.words],
            cwd=self.image,
            env={**environment, "PATH": PATH},
            check=True,
        )

    def inside(self, place: str, text: str) -> str:
        """The text with the absolute paths of a container as folders of the test."""
        root = self.directory / place
        image = str(self.image) if place in ("image", *_OURS) else f"{root}/app"
        return re.sub(
            r"/(app|tmp|etc/weir|var/spool/weir|var/lib/caddy|build)\b",
            lambda found: image if found[1] == "app" else f"{root}/{found[1]}",
            text,
        )

    def start(self, name: str, port: int = 0) -> Running:
        """Start one process of a service, at a port if one is given, and wait until its health
        check is content."""
        running = self.launch(name, port)
        check = self.services[name].get("healthcheck")
        if check is not None:
            command = self._local(name, check["test"][1:], running.port)
            until(lambda: self._healthy(running, command), f"{name} is not healthy")
        return running

    def _healthy(self, running: Running, command: list[str]) -> bool:
        assert running.process.poll() is None, f"{running.name} ended:\n{running.told()}"
        if not self._may_be_healthy(running):
            # A check that is a process again and again would take the machine from what starts.
            return False
        done = subprocess.run(
            command,
            cwd=self._home(running.name),
            env=self._environment(running.name),
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def _may_be_healthy(self, running: Running) -> bool:
        beats = self._environment(running.name).get("HEARTBEAT_FILE")
        return Path(beats).exists() if beats else accepts(running.port)

    def launch(self, name: str, port: int = 0) -> Running:
        """Start one process of a service."""
        service = self.services[name]
        port = port or self._port(name)
        self.mount(name)
        (self.directory / name / "tmp").mkdir(parents=True, exist_ok=True)
        command = [*service.get("entrypoint", []), *service["command"]]
        if name == "nginx" and os.geteuid() == 0:
            # Root's workers would become another user, who cannot enter the folders of the test.
            command[-1] += " user root;"
        log = self.directory / f"{name}-{port}.log"
        with log.open("ab") as file:
            local = self._local(name, command, port)
            process = subprocess.Popen(
                [need(local[0]) if name in _EDGES else local[0], *local[1:]],
                cwd=self._home(name),
                env=self._environment(name),
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        running = Running(name, process, port, log)
        self.running.append(running)
        if name == "web":
            self.webs.append(running)
        return running

    def _port(self, name: str) -> int:
        if name == "web" and self.web_ports:
            taken = {web.port for web in self.webs if web.process.poll() is None}
            return next(port for port in self.web_ports if port not in taken)
        fixed = {
            "redis": self.redis_port,
            "caddy": self.tls_port,
            "nginx": self.edge_port,
            "provider": self.provider_port,
        }
        return fixed.get(name) or free_port()

    def with_trial(self, fields: Mapping[str, str]) -> "Shape":
        """The same containers, with those of docker-compose.trial.yml beside them."""
        trial = copy.copy(self)
        trial.given = {**self.given, **fields}
        trial.services = files.services(trial.given, files.TRIAL)
        return trial

    def run(self, name: str) -> Running:
        """Run a one-shot service to its end."""
        running = self.launch(name)
        assert running.process.wait(2 * WAIT_SECONDS) == 0, running.told()
        return running

    def exec(self, name: str, command: list[str]) -> str:
        """What a command says that is run in a container of that service."""
        done = subprocess.run(
            self._local(name, command, 0),
            cwd=self._home(name),
            env=self._environment(name),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _named(self, text: str) -> str:
        """Containers that are asked by their names."""
        web = self.webs[0].port if self.webs else 8000
        return text.replace("//web:8000", f"//127.0.0.1:{web}").replace(
            "//provider:8100", f"//127.0.0.1:{self.provider_port}"
        )

    def _home(self, name: str) -> Path:
        if name in _OURS:
            return self.image
        # The provider's own code is mounted into the image's folder, which others have for theirs.
        return self.directory / name / ("app" if name == "provider" else "")

    def _local(self, name: str, command: list[str], port: int) -> list[str]:
        """The command with local ports and paths."""
        own = {"web": "8000", "redis": "6379", "nginx": "8080", "provider": "8100"}.get(name)
        text = [
            self._named(self.inside(name, word)).replace("0.0.0.0", "127.0.0.1") for word in command
        ]
        return [re.sub(rf"\b{own}\b", str(port), word) for word in text] if own else text

    def _environment(self, name: str) -> dict[str, str]:
        service = self.services[name]
        image = files.environment_of(files.dockerfile(self.root)[-1]) if name in _OURS else {}
        listed = self.given if "env_file" in service else {}
        environment = {**image, **listed, **service.get("environment", {})}
        environment = {
            key: self._named(self.inside(name, value)) for key, value in environment.items()
        }
        if "DATABASE_URL" in environment:
            environment["DATABASE_URL"] = self.database_url
        if "BROKER_URL" in environment:
            local = f"@127.0.0.1:{self.redis_port}/"
            environment["BROKER_URL"] = environment["BROKER_URL"].replace("@redis:6379/", local)
        return {**environment, "PATH": PATH}

    def mount(self, name: str) -> None:
        """Lay the mounted files of a service where it will find them."""
        for volume in self.services[name].get("volumes", []):
            source, target = volume.split(":")[:2]
            if not source.startswith((".", "/")):
                continue
            here = Path(self.inside(name, target))
            here.parent.mkdir(parents=True, exist_ok=True)
            root = self.root / source
            if root.is_dir():
                shutil.copytree(root, here, dirs_exist_ok=True)
                for file in here.glob("*.yaml"):
                    file.write_text(file.read_text().replace(TRIAL_NETWORK, "127.0.0.1/32"))
                for file in (*here.rglob("*.conf"), *here.rglob("Caddyfile")):
                    file.write_text(self._configuration(name, file.read_text()))
            else:
                here.write_text(self._configuration(name, root.read_text()))

    def _configuration(self, name: str, text: str) -> str:
        """The edge's own words, for this machine's addresses."""
        ports = self.web_ports or [web.port for web in self.webs]
        webs = "\n".join(rf"server 127.0.0.1:{port}\1;" for port in ports)
        text = _UPSTREAM.sub(webs, text)
        # The image's nginx has it (1.27.4), Debian's not yet.
        text = re.sub(r"keepalive_min_timeout [^;]*;", "", text)
        text = text.replace("listen 8080;", f"listen 127.0.0.1:{self.edge_port};")
        text = text.replace("listen [::]:8080;", f"listen [::1]:{self.edge_port};")
        text = text.replace("nginx:8080", f"127.0.0.1:{self.edge_port}")
        text = text.replace("https_port 443", f"https_port {self.tls_port}")
        text = text.replace("http_port 80\n", f"http_port {self.redirect_port}\n")
        return self.inside(name, text)

    def close(self) -> None:
        for running in self.running:
            # Asked, not killed: nginx and Celery would leave their own children behind.
            if running.process.poll() is None:
                running.process.terminate()
        for running in self.running:
            try:
                running.process.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()


_OURS = ("web", "worker", "beat", "prepare")
_EDGES = ("caddy", "nginx")
