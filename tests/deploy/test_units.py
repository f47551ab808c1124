"""The systemd units: systemd itself takes them, and finds them as hardened as we say. Nobody starts
them here."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from stack.command import weir
from tests.deploy import units
from tests.deploy.files import ROOT
from tests.runner.programs import need

WEIR = "/opt/weir/current/bin/weir"
NAMES = sorted(units.services())
# Of ten, by `systemd-analyze security`: below two it calls a unit OK, its best word.
EXPOSURE_MAX = 2.0


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as on a machine that has the program."""
    folder = tmp_path / "system"
    shutil.copytree(units.FOLDER, folder)
    for path in folder.glob("*.service"):
        path.write_text(path.read_text().replace(WEIR, "/bin/true"))
    return folder


def analyze(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [need("systemd-analyze"), *arguments],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def started(name: str) -> str:
    return f"weir-{name.replace('@', '@8000')}.service"


def test_systemd_takes_every_unit(installed: Path) -> None:
    names = [*map(started, NAMES), "weir-backup.timer", "weir.target"]
    result = analyze(installed, "verify", "--man=no", *names)
    assert (result.returncode, result.stderr) == (0, "")


def test_systemd_finds_mistakes(installed: Path) -> None:
    file = installed / "weir-worker.service"
    file.write_text(file.read_text().replace("MemoryMax=1G", "MemoryMaximum=1G"))
    result = analyze(installed, "verify", "--man=no", "weir-worker.service")
    assert "MemoryMaximum" in result.stderr


@pytest.mark.parametrize("name", NAMES)
def test_unit_has_minimal_rights(name: str, installed: Path) -> None:
    """With the drop-in that all units have by the beginning of their names."""
    result = analyze(installed, "security", "--offline=true", started(name))
    [level] = re.findall(r"Overall exposure level for \S+: ([\d.]+)", result.stdout)
    assert float(level) < EXPOSURE_MAX


def test_the_page_allows_the_metadata_to_units_that_send(tmp_path: Path, installed: Path) -> None:
    """The commands of the page, on a machine whose systemd only notes that it is called."""
    page = (ROOT / "docs/operate/systemd.md").read_text()
    [script] = re.findall(r"```sh\n(for unit in .*?)```", page, re.DOTALL)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "systemctl").write_text("#!/bin/sh\n")
    (programs / "systemctl").chmod(0o755)
    command = ["/bin/sh", "-euc", script.replace("/etc/systemd/system", str(installed))]
    subprocess.run(command, env={"PATH": f"{programs}:/usr/bin:/bin"}, check=True)
    allowed = {path.parent.name for path in installed.rglob("credentials.conf")}
    assert allowed == {"weir-web@.service.d", "weir-worker.service.d"}
    for name in (started("web@"), started("worker")):
        verified = analyze(installed, "verify", "--man=no", name)
        assert (verified.returncode, verified.stderr) == (0, "")
    drop_in = installed / "weir-worker.service.d/credentials.conf"
    drop_in.write_text(drop_in.read_text().replace("/32", "/33"))
    assert (
        "169.254.169.254/33" in analyze(installed, "verify", "--man=no", started("worker")).stderr
    )


@pytest.mark.parametrize("name", NAMES)
def test_unit_runs_existing_verbs(name: str) -> None:
    for line in units.service(name)["ExecStart"]:
        for verb in re.findall(rf"(?:{WEIR}|\"\$\$weir\") (\w+)", line):
            assert weir.get_command(None, verb), verb  # type: ignore[arg-type]
    if name == "web@":
        assert units.service(name)["ExecStart"] == [f"{WEIR} web --port %i"]
        assert "--port" in CliRunner().invoke(weir, ["web", "--help"]).output


def test_a_backup_is_made_each_night() -> None:
    text = (units.FOLDER / "weir-backup.timer").read_text()
    assert "OnCalendar=*-*-* 03:15:00 UTC\n" in text
    calendar = analyze(units.FOLDER, "calendar", "*-*-* 03:15:00 UTC")
    assert calendar.returncode == 0


# ---- the update

STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
if [ "$(basename "$0") $1" = "systemctl list-units" ]; then
    echo "weir-web@8000.service loaded active running"
    echo "weir-web@8001.service loaded active running"
fi
if [ "$1 $2" = "cat ${MISSING:-}" ]; then exit 1; fi
# At the first try.
if [ "$*" = "restart ${FAILS:-}" ] && [ "$(grep -cx "systemctl $*" "$CALLS")" = 1 ]; then exit 1; fi
if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/pip"; cp "$0" "$3/bin/weir"; fi
"""


def update(folder: Path, *arguments: str, missing: str = "", fails: str = "") -> list[str]:
    """What the script calls on a machine whose programs only note that, that has no unit of the
    name `missing`, and whose unit `fails` does not start."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for name in ("python3", "systemctl"):
        (programs / name).write_text(STUB)
        (programs / name).chmod(0o755)
    calls = folder / "calls"
    calls.write_text("")
    script = folder / "tree/deploy/systemd/update.sh"
    script.parent.mkdir(parents=True, exist_ok=True)
    (folder / "tree/pyproject.toml").write_text(f'[project]\nversion = "{arguments[-1]}"\n')
    text = (units.FOLDER / "update.sh").read_text()
    text = text.replace("/etc/weir", str(folder / "etc"))
    script.write_text(text.replace("/opt/weir", str(folder / "weir")))
    (folder / "weir").mkdir(exist_ok=True)
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "CALLS": str(calls)}
    environment |= {"MISSING": missing, "FAILS": fails}
    command = ["/bin/sh", str(script), *arguments]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.stdout == (f"This machine has no {missing}.\n" if missing else "")
    assert done.returncode == (1 if fails else 0), done.stderr
    assert done.stderr.startswith(f"{fails} does not start as version" if fails else "")
    return calls.read_text().splitlines()


WEBS = ["systemctl restart weir-web@8000.service", "systemctl restart weir-web@8001.service"]
LISTED = "systemctl list-units --plain --no-legend weir-web@*.service"


def test_update_migrates_first_and_replaces_web_processes_in_turn(tmp_path: Path) -> None:
    calls = update(tmp_path, "1.1.0")
    assert calls[:2] == [
        f"python3 -m venv {tmp_path}/weir/1.1.0",
        f"pip install --quiet {tmp_path}/tree --requirement /dev/null",
    ]
    assert calls[2:] == [
        "systemctl cat weir-prepare.service",
        "systemctl restart weir-prepare.service",
        "systemctl cat weir-worker.service",
        "systemctl restart weir-worker.service",
        "systemctl cat weir-beat.service",
        "systemctl restart weir-beat.service",
        LISTED,
        *WEBS,
    ]
    assert (tmp_path / "weir/current").readlink() == tmp_path / "weir/1.1.0"


@pytest.mark.parametrize("missing", ["weir-prepare.service", "weir-beat.service"])
def test_update_restarts_the_units_that_a_machine_has(tmp_path: Path, missing: str) -> None:
    """A second machine has not all of them (docs/operate/systemd.md)."""
    calls = update(tmp_path, "1.1.0", missing=missing)
    units = ("weir-prepare.service", "weir-worker.service", "weir-beat.service")
    restarted = [f"systemctl restart {unit}" for unit in units if unit != missing]
    assert [call for call in calls if " restart " in call] == [*restarted, *WEBS]


def test_update_installs_only_the_named_version(tmp_path: Path) -> None:
    update(tmp_path, "1.0.0")
    script = tmp_path / "tree/deploy/systemd/update.sh"
    done = subprocess.run(["/bin/sh", str(script), "1.2.0"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path}/tree is not version 1.2.0. Check that version out.\n"
    assert not (tmp_path / "weir/1.2.0").exists()


def test_rollback_leaves_the_database_and_the_jobs(tmp_path: Path) -> None:
    update(tmp_path, "1.0.0")
    update(tmp_path, "1.1.0")
    assert update(tmp_path, "--back", "1.0.0") == [LISTED, *WEBS]
    assert (tmp_path / "weir/current").readlink() == tmp_path / "weir/1.0.0"


def test_update_takes_extras_and_extensions_along(tmp_path: Path) -> None:
    """Those of the file from which docs/operate/systemd.md installs them."""
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc/requirements.txt"
    file.write_text("weir-hub[objects]\n")
    assert f"pip install --quiet {tmp_path}/tree --requirement {file}" in update(tmp_path, "1.1.0")
    # A second attempt takes what was added after the first one failed.
    assert f"pip install --quiet --requirement {file}" in update(tmp_path, "1.1.0")
    page = (ROOT / "docs/operate/systemd.md").read_text()
    assert "pip install . --requirement /etc/weir/requirements.txt\n" in page


@pytest.mark.parametrize(
    "fails", ["weir-worker.service", "weir-beat.service", "weir-web@8001.service"]
)
def test_a_failed_update_leaves_the_version_before(tmp_path: Path, fails: str) -> None:
    """P10: to the unit that did not start, and to every process that starts later."""
    update(tmp_path, "1.0.0")
    calls = update(tmp_path, "1.1.0", fails=fails)
    assert (tmp_path / "weir/current").readlink() == tmp_path / "weir/1.0.0"
    assert calls[-2:] == [f"systemctl restart {fails}"] * 2
    assert "systemctl restart weir-prepare.service" in update(tmp_path, "1.1.0")
    assert (tmp_path / "weir/current").readlink() == tmp_path / "weir/1.1.0"


def test_a_failed_migration_leaves_the_version_before(tmp_path: Path) -> None:
    """Whose preparation does not run."""
    update(tmp_path, "1.0.0")
    calls = update(tmp_path, "1.1.0", fails="weir-prepare.service")
    assert (tmp_path / "weir/current").readlink() == tmp_path / "weir/1.0.0"
    assert [call for call in calls if " restart " in call] == [
        "systemctl restart weir-prepare.service"
    ]


def test_a_failed_rollback_leaves_the_newer_version(tmp_path: Path) -> None:
    update(tmp_path, "1.0.0")
    update(tmp_path, "1.1.0")
    assert update(tmp_path, "--back", "1.0.0", fails="weir-web@8000.service") == [
        LISTED,
        WEBS[0],
        WEBS[0],
    ]
    assert (tmp_path / "weir/current").readlink() == tmp_path / "weir/1.1.0"
