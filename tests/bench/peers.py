"""The other gateways, in environments of their own in a cache folder, at versions of our choice.

Nothing that a package brings is run to install it. What cannot be installed is told in the report
and not measured.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stack.test_programs.servers import find
from tests.bench.process import BenchError

LITELLM = "1.106.2"
PORTKEY = "1.15.2"
# With a later one every stream of Portkey's gateway fails ("TypeError: immutable").
PORTKEY_SERVER = "1.14.1"

# Portkey's gateway listens on every address of the machine; a bench stays on its own.
_LOOPBACK_ONLY = """\
const net = require('node:net');
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  if (typeof port !== 'number') return listen.call(this, port, ...rest);
  const ready = rest.filter((argument) => typeof argument === 'function');
  return listen.call(this, { port, host: '127.0.0.1' }, ...ready);
};
"""


class Missing(Exception):
    """A peer cannot be measured on this machine; the message says why."""


def cache() -> Path:
    """Where peers and the bench's own data are kept."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weir-bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def nginx() -> Path:
    """Debian's nginx. Raises Missing."""
    result = find("nginx")
    if result is None:
        raise Missing("nginx is not installed")
    return Path(result)


def nginx_version() -> str:
    completed = subprocess.run([nginx(), "-v"], capture_output=True, text=True, check=False)
    return completed.stderr.strip().rpartition("/")[2]


def litellm() -> Path:
    """The command of LiteLLM's proxy. Raises Missing."""
    folder = cache() / f"litellm-{LITELLM}"
    command = folder / "bin" / "litellm"
    if not command.exists():
        wanted = f"litellm[proxy]=={LITELLM}"
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        if Path(uv).exists():
            _install([uv, "venv", "--clear", "--quiet", "--python", sys.executable, str(folder)])
            python = ["--python", str(folder / "bin" / "python")]
            _install([uv, "pip", "install", "--quiet", "--only-binary", ":all:", *python, wanted])
        else:
            _install([sys.executable, "-m", "venv", "--clear", str(folder)])
            pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--only-binary", ":all:"]
            _install([*pip, wanted])
    return command


def portkey() -> tuple[Path, Path, Path]:
    """Node, what it loads first, and Portkey's gateway. Raises Missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Missing("Node.js and npm are not installed")
    folder = cache() / f"portkey-{PORTKEY}"
    server = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not server.exists():
        folder.mkdir(parents=True, exist_ok=True)
        wanted = {
            "private": True,
            "dependencies": {"@portkey-ai/gateway": PORTKEY},
            "overrides": {"@hono/node-server": PORTKEY_SERVER},
        }
        (folder / "package.json").write_text(json.dumps(wanted))
        flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        _install([npm, "install", *flags, "--prefix", str(folder)])
    first = folder / "loopback.cjs"
    first.write_text(_LOOPBACK_ONLY)
    return Path(node), first, server


def node_version() -> str:
    completed = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    return completed.stdout.strip().lstrip("v")


def _install(command: Sequence[str]) -> None:
    """Run one step of an installation; Missing with its last words when it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=600, cwd=cache()
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"{Path(command[0]).name} took longer than ten minutes") from None
    except OSError as error:
        raise BenchError(f"{command[0]} cannot be run: {error}") from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Missing(f"{Path(command[0]).name} failed: {' '.join(last)[:200]}")
