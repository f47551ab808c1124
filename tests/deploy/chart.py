"""deploy/chart as Helm renders it."""

import subprocess
from functools import cache
from typing import Any, Final

import yaml

from stack.test_programs import helm
from tests.deploy.files import ROOT
from tests.runner.programs import lack

FOLDER: Final = ROOT / "deploy/chart"
REQUIRED: Final = ("image.repository=registry/weir", "publicUrl=https://hub.example.org")
EVERYTHING: Final = (
    *REQUIRED,
    "relay.autoscaler.enabled=true",
    "monitor.enabled=true",
    "backup.enabled=true",
    "trust.configMap=authorities",
    "apply.secretName=weir-channels",
    "senders.secretName=weir-logins",
    "ingress.tlsSecret=weir-tls",
    "image.pullSecrets={registry}",
    "settings.BACKUP_KEEP_DAYS=90",
    r"apply.files.10-a\.yaml=version: 1",
)
Document = dict[str, Any]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    program = helm.find() or lack("Helm")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def options(values: tuple[str, ...]) -> list[str]:
    """As words of a command; settings are texts, also those that are numbers."""
    return [
        f"--set-string={value}" if value.startswith("settings.") else f"--set={value}"
        for value in values
    ]


@cache
def _rendered(values: tuple[str, ...]) -> str:
    result = run("template", "weir", str(FOLDER), "--namespace=hub", *options(values))
    assert result.returncode == 0, result.stderr
    return result.stdout


def render(values: tuple[str, ...] = REQUIRED) -> list[Document]:
    """The objects that the chart makes by these values."""
    return [one for one in yaml.safe_load_all(_rendered(values)) if one]


def find(kind: str, name: str, values: tuple[str, ...] = REQUIRED) -> Document:
    [result] = [
        one for one in render(values) if (one["kind"], one["metadata"]["name"]) == (kind, name)
    ]
    return result


def pod_of(workload: Document) -> Document:
    spec: Document = workload["spec"].get("jobTemplate", workload)["spec"]
    pod: Document = spec["template"]["spec"]
    return pod


def workloads(values: tuple[str, ...] = REQUIRED) -> dict[str, Document]:
    """What has pods, by what its name ends with."""
    kinds = ("Deployment", "StatefulSet", "Job", "CronJob")
    return {
        one["metadata"]["name"].removeprefix("weir-"): one
        for one in render(values)
        if one["kind"] in kinds
    }


def environment(workload: Document) -> dict[str, str]:
    """The variables that are written down for its container."""
    [container] = pod_of(workload)["containers"]
    names = [one["name"] for one in container["env"]]
    assert len(names) == len(set(names))
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def secrets_read_whole(workload: Document) -> list[str]:
    """The Secrets of which every member is a variable of its container."""
    [container] = pod_of(workload)["containers"]
    return [one["secretRef"]["name"] for one in container.get("envFrom", [])]


def secrets(workload: Document) -> set[str]:
    """The variables that it has of the Secret."""
    [container] = pod_of(workload)["containers"]
    references = [
        one["valueFrom"]["secretKeyRef"] for one in container["env"] if "value" not in one
    ]
    assert {one["name"] for one in references} == {"weir"}
    return {one["key"] for one in references}
