"""Compose, the Helm chart and the systemd units have the same processes, commands, settings and
limits, and wait as long for each that stops."""

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from stack.processes.commands import SCHEDULER, web_command, worker_command
from tests.deploy import chart, files, units
from tests.deploy.chart import EVERYTHING, REQUIRED, pod_of, workloads
from tests.deploy.test_files import service
from tests.deploy.test_least_rights import OF_COMPOSE, SECRETS, SENDERS, SERVERS
from tests.house.test_environment import settings_of

# Service of compose -> pods of the chart, unit.
PROCESSES: Final = {
    "web": (("web", "relay"), "web@"),
    "worker": (("worker",), "worker"),
    "beat": (("beat",), "beat"),
    "prepare": (("prepare",), "prepare"),
}
# What reads the database needs these.
OF_ALL: Final = {"SECRET_KEY", "WEIR_KEK", "WEIR_KEY_PEPPER", "DATABASE_URL", "BROKER_URL"}
# Compose makes backups in the worker or by cron.
BACKUP: Final = "backup"
LASTING: Final = ("web", "worker", "beat")
_SIZES: Final = {"M": 2**20, "G": 2**30}


def size(text: str) -> int:
    """The bytes of `1g`, `1Gi` or `1G`, which is the same for compose, Kubernetes and systemd."""
    match = re.fullmatch(r"(\d+)([MG])i?", text[0:-1] + text[-1].replace("g", "G"))
    assert match, text
    return int(match[1]) * _SIZES[match[2]]


def options(command: list[str], behind: str) -> list[str]:
    """The words behind the last `behind` of a command, `--name value` as one word."""
    at = len(command) - command[::-1].index(behind)
    words: list[str] = []
    for word in command[at:]:
        is_value = bool(words) and words[-1].startswith("--") and not word.startswith("--")
        words.append(f"{words.pop()}={word}" if is_value else word)
    return words


def test_the_processes_are_the_same() -> None:
    # The others of compose are what the chart and the units take from outside.
    outside = {"caddy", "nginx", "postgres", "redis"}
    assert set(files.compose_file()["services"]) - outside == set(PROCESSES)
    pods = {pod for names, _ in PROCESSES.values() for pod in names}
    assert workloads(EVERYTHING).keys() == pods | {BACKUP}
    assert units.services() == {unit for _, unit in PROCESSES.values()} | {BACKUP}


def commands_of_units() -> dict[str, list[str]]:
    return {
        "web": options(web_command("0.0.0.0", 8000, "127.0.0.1/32"), "config.asgi:application"),
        "worker": options(worker_command(8), "worker"),
        "beat": options(SCHEDULER, "beat"),
    }


@pytest.mark.parametrize("name", LASTING)
def test_the_commands_are_the_same(name: str) -> None:
    behind = {"web": "config.asgi:application"}.get(name, name)
    given = {"FRONT_SUBNET": "127.0.0.1/32"}
    composed = files.interpolate(files.compose_file()["services"][name]["command"], given)
    for pod in PROCESSES[name][0]:
        [container] = pod_of(workloads()[pod])["containers"]
        assert container["command"] == composed
    assert sorted(options(composed, behind)) == sorted(commands_of_units()[name])
    [line] = units.service(PROCESSES[name][1])["ExecStart"]
    verb = {"beat": "scheduler"}.get(name, name)
    assert line.split()[1] == verb


def test_preparation_does_the_same() -> None:
    [container] = pod_of(workloads()["prepare"])["containers"]
    assert container["command"] == service("prepare")["command"]
    lines = units.service("prepare")["ExecStart"]
    # As deploy/prepare.py does.
    verbs = [re.findall(r"bin/weir (\w+)", line) for line in lines]
    assert verbs == [["migrate"], ["load_catalogue"], ["apply"]]


@pytest.mark.parametrize("name", PROCESSES)
def test_the_limits_are_the_same(name: str) -> None:
    pods, unit = PROCESSES[name]
    memory = size(service(name)["mem_limit"])
    [maximum] = units.service(unit)["MemoryMax"]
    assert size(maximum) == memory
    for pod in pods:
        [container] = pod_of(workloads()[pod])["containers"]
        assert size(container["resources"]["limits"]["memory"]) == memory
    # Of processes Kubernetes has a limit for nodes alone.
    assert units.service(unit)["TasksMax"] == [str(service(name)["pids_limit"])]


@pytest.mark.parametrize("name", LASTING)
def test_stop_waits_are_the_same(name: str) -> None:
    """P10; tests/deploy/test_files.py has that no stop is cut short by these times."""
    pods, unit = PROCESSES[name]
    seconds = files.seconds(service(name)["stop_grace_period"])
    assert units.service(unit)["TimeoutStopSec"] == [str(seconds)]
    for pod in pods:
        assert pod_of(workloads()[pod])["terminationGracePeriodSeconds"] == seconds


def test_every_process_has_the_secrets_that_it_needs_and_no_others() -> None:
    """test_least_rights.py has those of compose, whose `prepare` reads all of .env."""
    for name, (pods, unit) in PROCESSES.items():
        for pod in pods:
            assert chart.secrets(workloads()[pod]) == OF_ALL | SECRETS[name], pod
        without = " ".join(units.service(unit).get("UnsetEnvironment", []))
        assert set(without.split()) == (SENDERS | SERVERS) - SECRETS[name], unit
    assert chart.secrets(workloads(EVERYTHING)[BACKUP]) == OF_ALL
    assert units.service(BACKUP)["UnsetEnvironment"] == units.service("beat")["UnsetEnvironment"]


def test_every_setting_can_be_set() -> None:
    """In .env, among the values of the chart or in its Secret, in the file of the units."""
    documented = settings_of("docs/operate/configure.md") - OF_COMPOSE
    values = json.loads((chart.FOLDER / "values.schema.json").read_text())["properties"]
    of_chart = {*values["settings"]["properties"], *chart.environment(workloads(EVERYTHING)["web"])}
    assert documented == (of_chart | chart.secrets(workloads()["web"])) & documented
    assert documented <= service("web")["environment"].keys()
    for unit in units.services():
        assert "/etc/weir/weir.env" in units.service(unit)["EnvironmentFile"]


def test_channel_keys_are_for_preparation_only() -> None:
    assert [name for name in PROCESSES if "env_file" in service(name)] == ["prepare"]
    pods = {
        name
        for name, workload in workloads(EVERYTHING).items()
        if "weir-channels" in chart.secrets_read_whole(workload)
    }
    assert pods == {"prepare"}
    named = {name for name in units.services() if len(units.service(name)["EnvironmentFile"]) > 1}
    assert named == {"prepare"}


READ_ONLY: Final[dict[str, Callable[[], bool]]] = {
    "compose": lambda: all(service(name)["read_only"] for name in PROCESSES),
    "chart": lambda: all(
        pod_of(one)["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
        for one in workloads(EVERYTHING).values()
    ),
    "units": lambda: all(
        units.service(name)["ProtectSystem"] == ["strict"] for name in units.services()
    ),
}


@pytest.mark.parametrize("way", READ_ONLY)
def test_no_process_can_change_what_it_runs(way: str) -> None:
    assert READ_ONLY[way]()


def test_backups_are_made_at_the_same_hour_and_kept_as_long() -> None:
    job = chart.find("CronJob", "weir-backup", (*REQUIRED, "backup.enabled=true"))
    minute, hour, *_ = job["spec"]["schedule"].split()
    timer = (units.FOLDER / "weir-backup.timer").read_text()
    assert f" {int(hour):02}:{int(minute):02}:00 UTC" in timer
    [container] = pod_of(job)["containers"]
    [line] = units.service("backup")["ExecStart"]
    kept = [re.findall(r"-mtime \+(\d+) -delete", text) for text in (container["command"][2], line)]
    assert kept == [["14"], ["14"]]


def backup_script(way: str) -> str:
    """What makes the nightly backup, for a shell."""
    if way == "chart":
        [container] = pod_of(workloads(EVERYTHING)[BACKUP])["containers"]
        return str(container["command"][2])
    [line] = units.service(BACKUP)["ExecStart"]
    return shlex.split(line)[2].replace("$$", "$").replace("%%", "%")


@pytest.mark.parametrize("program", ["true", "false"])
@pytest.mark.parametrize("way", ["chart", "units"])
def test_what_killed_backups_left_is_deleted(way: str, program: str, tmp_path: Path) -> None:
    """Also where this backup fails, which the parts may be the reason of."""
    script = re.sub(r"(/var/lib/weir)?/backups", str(tmp_path), backup_script(way))
    script = script.replace("python manage.py", program)
    script = script.replace("/opt/weir/current/bin/weir", program)
    hours = {
        ".weir-2026-11-01-031500.zip.7.part": 2,
        ".weir-2026-11-30-031500.zip.7.part": 0,
        "weir-2026-11-01-031500.zip": 16 * 24,
        "weir-2026-11-29-031500.zip": 24,
    }
    for name, age in hours.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - 3600 * age,) * 2)
    done = subprocess.run(["/bin/sh", "-euc", script], cwd=tmp_path, check=False)
    assert (done.returncode == 0) == (program == "true")
    first_part, _, old, _ = hours
    gone = {first_part, old} if program == "true" else {first_part}
    assert {one.name for one in tmp_path.iterdir()} == hours.keys() - gone
