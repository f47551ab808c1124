"""deploy/kubernetes: whole, valid by the schemas of Kubernetes itself, and the same processes as
docker-compose.yml has."""

import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from relay.endpoints.table import ENDPOINTS, is_claimed
from tests.deploy import files
from tests.deploy.files import ROOT

FOLDER = ROOT / "deploy/kubernetes"
OVERLAYS = ("base", "trial")
OLDEST, NEWEST = "1.30", "1.37"
OURS = {"web": "web", "relay": "web", "worker": "worker", "beat": "beat", "prepare": "prepare"}
Document = dict[str, Any]


@cache
def kustomization(overlay: str) -> Document:
    result: Document = yaml.safe_load((FOLDER / overlay / "kustomization.yaml").read_text())
    return result


def documents(path: Path) -> list[Document]:
    return list(yaml.safe_load_all(path.read_text()))


@cache
def _base() -> list[Document]:
    names = kustomization("base")["resources"]
    return [document for name in names for document in documents(FOLDER / "base" / name)]


def base() -> list[Document]:
    return copy.deepcopy(_base())


def trial() -> list[Document]:
    """What kustomize makes of the overlay, as far as it uses kustomize."""
    created = base()
    for name in kustomization("trial")["resources"]:
        if name != "../base":
            created += documents(FOLDER / "trial" / name)
    for patch in kustomization("trial")["patches"]:
        content = documents(FOLDER / "trial" / patch["path"])[0]
        fitting = [document for document in created if is_target(document, patch, content)]
        assert fitting, patch
        for document in fitting:
            apply(document, content)
    for wanted in kustomization("trial")["replicas"]:
        (document,) = [one for one in created if has_replicas(one, wanted["name"])]
        document["spec"]["replicas"] = wanted["count"]
    return created


def is_target(document: Document, patch: Document, content: Any) -> bool:
    target = patch.get("target") or {
        "kind": content["kind"],
        "name": content["metadata"]["name"],
    }
    fits = re.fullmatch(target["name"], document["metadata"]["name"])
    return document["kind"] == target["kind"] and fits is not None


def apply(document: Document, content: Any) -> None:
    if isinstance(content, dict):
        document["data"].update(content["data"])
        return
    for operation in content:
        *parts, last = operation["path"].strip("/").split("/")
        assert (operation["op"], last) == ("add", "-")
        place: Any = document
        for part in parts:
            place = place[int(part)] if isinstance(place, list) else place[part]
        place.append(operation["value"])


def has_replicas(document: Document, name: str) -> bool:
    return document["metadata"]["name"] == name and "replicas" in document.get("spec", {})


def workloads(created: list[Document]) -> Iterator[tuple[str, Document]]:
    """The pod of each Deployment, StatefulSet and Job, by what its name ends with."""
    for document in created:
        if document["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield document["metadata"]["name"].removeprefix("weir-"), document


def pod_of(workload: Document) -> Document:
    pod: Document = workload["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_valid_by_its_schema(overlay: str, version: str) -> None:
    created = {"base": base, "trial": trial}[overlay]()
    assert {"Deployment", "StatefulSet", "Job", "Ingress"} <= {one["kind"] for one in created}
    for document in created:
        kubernetes_validate.validate(document, version, strict=True)


def test_the_schema_finds_what_is_wrong() -> None:
    (web,) = [
        one for one in base() if one["metadata"]["name"] == "weir-web" and "replicas" in one["spec"]
    ]
    web["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(web, NEWEST, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_file_is_named_once(overlay: str) -> None:
    result = kustomization(overlay)
    named = [name for name in result["resources"] if name != "../base"]
    named += sorted({patch["path"] for patch in result.get("patches", [])})
    there = {path.name for path in (FOLDER / overlay).iterdir() if path.name != ".env"}
    assert sorted([*named, "kustomization.yaml"]) == sorted(there)


def test_the_processes_are_those_of_compose() -> None:
    services = files.compose_file()["services"]
    results = dict(workloads(base()))
    assert results.keys() == OURS.keys()
    for name, service in OURS.items():
        (container,) = pod_of(results[name])["containers"]
        wanted = [
            re.sub(r"\$\{(\w+):-[^}]*\}", r"$(\1)", one) for one in services[service]["command"]
        ]
        assert container["command"] == wanted
        assert container["image"] == "weir"


def test_containers_can_do_nothing_that_they_need_not() -> None:
    for name, workload in workloads(trial()):
        pod = pod_of(workload)
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"].keys() == {"requests", "limits"}
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", ["web", "relay"])
def test_a_serving_pod_is_asked_for_readiness_and_drains(name: str) -> None:
    """P10: what the orchestrator waits for is longer than streams are let run."""
    workload = dict(workloads(base()))[name]
    pod = pod_of(workload)
    (container,) = pod["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    for probe in ("livenessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["path"] == "/healthz"
    (drain,) = [
        int(word.partition("=")[2])
        for word in container["command"]
        if word.startswith("--timeout-graceful-shutdown")
    ]
    assert pod["terminationGracePeriodSeconds"] > drain
    spool = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}["spool"]
    assert {"name": "SPOOL_DIR", "value": spool} in container["env"]
    # One at a time is taken away, by people and by updates.
    (budget,) = [
        one
        for one in base()
        if one["kind"] == "PodDisruptionBudget" and one["metadata"]["name"] == f"weir-{name}"
    ]
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"] == workload["spec"]["selector"]


def test_there_is_one_scheduler() -> None:
    beat = dict(workloads(base()))["beat"]
    assert (beat["spec"]["replicas"], beat["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_each_service_finds_its_pods() -> None:
    created = trial()
    labels = [one["spec"]["template"]["metadata"]["labels"] for _, one in workloads(created)]
    for service in (one for one in created if one["kind"] == "Service"):
        selector = service["spec"]["selector"].items()
        assert sum(selector <= each.items() for each in labels) == 1, service


def test_the_model_api_goes_to_its_own_pods() -> None:
    paths = {
        path["path"]: path["backend"]["service"]["name"]
        for ingress in base()
        if ingress["kind"] == "Ingress"
        for path in ingress["spec"]["rules"][0]["http"]["paths"]
    }
    assert paths.pop("/") == "weir-web"
    assert set(paths.values()) == {"weir-relay"}
    assert all(is_claimed(f"{prefix}/x") for prefix in paths)
    for common in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"):
        assert common in ENDPOINTS
        assert common.startswith(tuple(paths))


def test_no_file_holds_a_secret() -> None:
    """They come from a Secret that the operator makes."""
    assert [one for one in trial() if one["kind"] == "Secret"] == []
    ignored = (ROOT / ".gitignore").read_text()
    assert "/deploy/kubernetes/trial/.env\n" in ignored
    for _, workload in workloads(base()):
        for container in pod_of(workload)["containers"]:
            assert {"secretRef": {"name": "weir"}} in container["envFrom"]
