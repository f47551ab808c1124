"""Create .venv and install the locked packages into it; do nothing if that is done already.

    python3 stack/install.py [--dev] [-- COMMAND …]

It only needs the system's Python and the standard library. With COMMAND it finally executes that
command, with its own start time in WEIR_STARTED_AT. Exit codes: 10 Python too old or too new, 11 no
venv module, 12 no wheels for this platform, 13 not enough disk space, 14 the installation failed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
STAMP = VENV / "weir-installed"
LOCK = "requirements.lock"
DEV_LOCK = "requirements-dev.lock"
UV_LOCK = "stack/uv.lock.txt"

# The Python versions for which every locked package has a wheel.
PYTHON_MIN = (3, 11)
PYTHON_BELOW = (3, 15)
MACHINES = ("x86_64", "amd64", "aarch64", "arm64")
# As measured on Debian 12 and 13: what each lock file downloads into an empty .venv, and the space
# that it then takes up, with some room.
DOWNLOADED_MB = {LOCK: 330, DEV_LOCK: 730}
FREE_BYTES_MIN = {LOCK: 1_500_000_000, DEV_LOCK: 2_500_000_000}

WRONG_PYTHON, NO_VENV, NO_WHEELS, NO_SPACE, FAILED = range(10, 15)


class Refusal(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_python(version: tuple[int, ...]) -> None:
    if not PYTHON_MIN <= version[:2] < PYTHON_BELOW:
        running = ".".join(str(part) for part in version[:2])
        raise Refusal(
            WRONG_PYTHON,
            f"Python {running} cannot run Weir, which needs 3.11 to 3.14. "
            "Choose another one: make run PYTHON=python3.13",
        )


def check_platform(system: str, machine: str, libc: str) -> None:
    """Raise Refusal unless there are packages for this platform. `libc` is the name from
    platform.libc_ver(); the wheels for Linux are built for glibc."""
    if system not in ("Linux", "Darwin") or machine.lower() not in MACHINES:
        raise Refusal(
            NO_WHEELS,
            f"There are no packages for {system} on {machine}; Weir runs on Linux and macOS, "
            "x86-64 and arm64. Use such a machine, a virtual machine or a container.",
        )
    if system == "Linux" and libc != "glibc":
        raise Refusal(
            NO_WHEELS,
            "There are no packages for Linux without glibc (such as Alpine). "
            "Use Debian, Ubuntu, Fedora or another distribution with glibc.",
        )


def check_space(directory: Path, lock: str) -> None:
    space = os.statvfs(str(directory))
    free = space.f_bavail * space.f_frsize
    if free < FREE_BYTES_MIN[lock]:
        raise Refusal(
            NO_SPACE,
            f"{directory} has {free // 1_000_000} MB free; the installation needs "
            f"{FREE_BYTES_MIN[lock] // 1_000_000} MB. Free some space and run make again.",
        )


def check_venv() -> None:
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        raise Refusal(
            NO_VENV,
            "This Python has no venv module. On Debian and Ubuntu: apt-get install python3-venv",
        )


def stamp(lock: str) -> str:
    """Return one line that changes whenever installing `lock` would change the result."""
    version = ".".join(str(part) for part in sys.version_info[:2])
    digest = hashlib.sha256((ROOT / lock).read_bytes()).hexdigest()
    return f"{lock} {version} {digest}"


def is_installed(lock: str) -> bool:
    """Return whether `lock` is installed. The development lock includes the other one."""
    try:
        lines = STAMP.read_text().splitlines()
    except OSError:
        return False
    whole = stamp(LOCK) in lines and (lock == LOCK or stamp(lock) in lines)
    return whole and (BIN / "python").exists()


def install(lock: str) -> None:
    check_python(sys.version_info[:3])
    check_platform(platform.system(), platform.machine(), platform.libc_ver()[0])
    check_space(ROOT, lock)
    started = time.monotonic()
    print_line(f"Installing {lock} into .venv (this downloads up to {DOWNLOADED_MB[lock]} MB) …")
    STAMP.unlink(missing_ok=True)
    uv = find_uv()
    if uv is None:
        uv = make_venv_with_uv()
    elif not usable():
        run([uv, "venv", "--clear", "--python", sys.executable, str(VENV)])
    run([uv, "pip", "install", "--python", str(BIN / "python"), *locked_requirements(lock)])
    done = [stamp(LOCK)] if lock == LOCK else [stamp(LOCK), stamp(lock)]
    STAMP.write_text("\n".join(done) + "\n")
    print_line(f"Installed in {time.monotonic() - started:.1f} s.")


def locked_requirements(lock: str) -> list[str]:
    return ["--require-hashes", "--no-deps", "-r", str(ROOT / lock)]


def find_uv() -> str | None:
    """Return a working uv on PATH; a version manager's shim may exist without uv."""
    uv = shutil.which("uv")
    if uv is None or subprocess.run([uv, "--version"], capture_output=True).returncode != 0:
        return None
    return uv


def usable() -> bool:
    """Return whether .venv exists and has this Python version."""
    ask = "import sys; print(sys.version_info[:2] == ({}, {}))".format(*sys.version_info[:2])
    try:
        completed = subprocess.run([str(BIN / "python"), "-c", ask], capture_output=True, text=True)
    except OSError:
        return False
    return completed.stdout.strip() == "True"


def make_venv_with_uv() -> str:
    """Create a venv with pip, and install uv in it: downloading and using uv is faster than pip
    alone. Both keep what they download inside .venv, so that deleting it leaves nothing behind.
    """
    check_venv()
    os.environ.setdefault("UV_CACHE_DIR", str(VENV / "uv-cache"))
    if not usable() or not (BIN / "pip").exists():
        run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if not (BIN / "uv").exists():
        pip = [str(BIN / "python"), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
        run([*pip, "--disable-pip-version-check", *locked_requirements(UV_LOCK)])
    return str(BIN / "uv")


def run(command: list[str]) -> None:
    """Run a step and print its output, without pip's final list of packages."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=str(ROOT)
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith((" + ", " - ", " ~ ")):
                print_line("  " + line.rstrip())
    if process.returncode != 0:
        raise Refusal(
            FAILED,
            f"{Path(command[0]).name} failed, see above. If it could not reach the package index, "
            "check the network and its proxy settings, then run make again.",
        )


def compile_catalogues() -> None:
    """Compile the translations that are newer than their compiled files."""
    texts = list(ROOT.glob("locale/*/LC_MESSAGES/django.po"))
    if all(is_fresh(text.with_suffix(".mo"), text) for text in texts):
        return
    run([str(BIN / "pybabel"), "--quiet", "compile", "-d", "locale", "-D", "django"])


def is_fresh(target: Path, source: Path) -> bool:
    return target.exists() and target.stat().st_mtime >= source.stat().st_mtime


def print_line(line: str) -> None:
    print(line, flush=True)


def main(arguments: list[str]) -> int:
    started_at = time.time()
    command = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    lock = DEV_LOCK if "--dev" in arguments else LOCK
    try:
        if not is_installed(lock):
            install(lock)
        compile_catalogues()
    except Refusal as refusal:
        sys.stderr.write(f"\n{refusal}\n")
        return refusal.code
    except KeyboardInterrupt:
        return 130
    if command:
        os.environ["WEIR_STARTED_AT"] = f"{started_at:.3f}"
        # With this variable set, the program would compile the code at each start.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.execv(command[0], command)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
