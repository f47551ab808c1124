"""The Helm chart: Helm takes and renders it, the schemas of Kubernetes find every object valid, and
each process can do no more than it must."""

import copy
import json
import re
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from config.version import VERSION
from gateway.providers.cloud_credentials import amazon, google
from relay.endpoints.table import ENDPOINTS, is_claimed
from tests.deploy import chart, files
from tests.deploy.chart import EVERYTHING, REQUIRED, pod_of, workloads
from tests.deploy.test_files import SECRET_NAMES
from tests.deploy.test_least_rights import NETWORKS, OF_COMPOSE
from tests.deploy.test_three_ways import OF_ALL
from tests.house.test_environment import settings_of

OLDEST, NEWEST = "1.30", "1.37"
PLAIN_AND_FULL = pytest.mark.parametrize("values", [REQUIRED, EVERYTHING])
# Pods -> service of compose.
OURS = {"web": "web", "relay": "web", "worker": "worker", "beat": "beat", "prepare": "prepare"}
# Of Prometheus' operator; Kubernetes has no schema of it.
FOREIGN = {"PrometheusRule", "ScrapeConfig"}


@PLAIN_AND_FULL
def test_helm_finds_nothing_wrong(values: tuple[str, ...]) -> None:
    result = chart.run("lint", str(chart.FOLDER), "--strict", *chart.options(values))
    assert result.returncode == 0, result.stdout + result.stderr


@PLAIN_AND_FULL
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_is_valid_by_its_schema(version: str, values: tuple[str, ...]) -> None:
    for document in chart.render(values):
        if document["kind"] not in FOREIGN:
            kubernetes_validate.validate(document, version, strict=True)


def test_schema_finds_mistakes() -> None:
    web = copy.deepcopy(chart.find("Deployment", "weir-web"))
    web["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(web, NEWEST, strict=True)


def test_the_database_and_redis_of_the_trial_are_valid() -> None:
    documents = yaml.safe_load_all((files.ROOT / "deploy/trial/cluster.yaml").read_text())
    for document in documents:
        kubernetes_validate.validate(document, NEWEST, strict=True)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("publicUrl=hub.example.org", "/publicUrl"),
        ("image.repository=", "/image/repository"),
        ("settings.LOGLEVEL=INFO", "'LOGLEVEL' not allowed"),
        ("settings.WEIR_KEK=x", "'WEIR_KEK' not allowed"),
        ("relay.replica=3", "'replica' not allowed"),
        ("web.replicas=0", "/web/replicas"),
        ("beat.replicas=2", "'replicas' not allowed"),
        ("backup.hour=24", "/backup/hour"),
        (r"apply.files.a\.yml=x", "'a.yml' not allowed"),
        ("networkPolicy.instanceCredentials={169.254.0.0/16}", "/instanceCredentials/0"),
        ("networkPolicy.instanceCredentials={10.0.0.1/32}", "/instanceCredentials/0"),
    ],
)
def test_a_wrong_value_is_named(value: str, message: str) -> None:
    values = chart.options((*REQUIRED, value))
    result = chart.run("template", "weir", str(chart.FOLDER), *values)
    assert result.returncode == 1
    assert message in result.stderr


def test_every_value_has_its_schema_and_every_setting_its_name() -> None:
    schema = json.loads((chart.FOLDER / "values.schema.json").read_text())
    defaults = yaml.safe_load((chart.FOLDER / "values.yaml").read_text())
    assert schema["properties"].keys() - {"global"} == defaults.keys()
    documented = settings_of("docs/operate/configure.md") - OF_COMPOSE
    # The chart has these two by values of their own, and the others come from the Secret.
    plain = {
        name
        for name in documented - {"PUBLIC_URL", "SSL_CERT_FILE"}
        if name.endswith("_BY_KEY") or name == "CLOUD_TOKEN_FILES" or not SECRET_NAMES.search(name)
    }
    assert plain - {"OTEL_EXPORTER_OTLP_HEADERS"} == set(
        schema["properties"]["settings"]["properties"]
    )


def test_the_chart_is_of_this_version() -> None:
    result = yaml.safe_load((chart.FOLDER / "Chart.yaml").read_text())
    assert (result["version"], result["appVersion"]) == (VERSION, VERSION)
    for workload in workloads().values():
        [container] = pod_of(workload)["containers"]
        assert container["image"] == f"registry/weir:{VERSION}"


def test_processes_match_compose() -> None:
    given = {"FRONT_SUBNET": "127.0.0.1/32"}
    services = files.interpolate(
        {name: one["command"] for name, one in files.compose_file()["services"].items()}, given
    )
    results = workloads()
    assert results.keys() == OURS.keys()
    for name, service in OURS.items():
        [container] = pod_of(results[name])["containers"]
        assert container["command"] == services[service]


def test_containers_have_minimal_rights() -> None:
    for name, workload in workloads(EVERYTHING).items():
        pod = pod_of(workload)
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"].keys() == {"requests", "limits"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", ["web", "relay"])
def test_serving_pod_has_readiness_and_drains(name: str) -> None:
    """P10: and is waited for longer than it drains."""
    workload = workloads()[name]
    [container] = pod_of(workload)["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    for probe in ("livenessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["path"] == "/healthz"
    spool = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}["spool"]
    assert chart.environment(workload)["SPOOL_DIR"] == spool
    assert workload["spec"]["minReadySeconds"] >= 10
    [drain] = [
        int(word.partition("=")[2])
        for word in container["command"]
        if word.startswith("--timeout-graceful-shutdown")
    ]
    assert pod_of(workload)["terminationGracePeriodSeconds"] > drain
    # One at a time is taken away, by people and by updates.
    budget = chart.find("PodDisruptionBudget", f"weir-{name}")
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"] == workload["spec"]["selector"]


def test_exactly_one_scheduler_runs() -> None:
    beat = workloads()["beat"]
    assert (beat["spec"]["replicas"], beat["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_migration_precedes_new_pods_but_not_a_rollback() -> None:
    job = workloads()["prepare"]["metadata"]["annotations"]
    files = chart.find("ConfigMap", "weir-apply", EVERYTHING)
    for annotations in (job, files["metadata"]["annotations"]):
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation"
    assert int(files["metadata"]["annotations"]["helm.sh/hook-weight"]) < 0
    assert files["data"] == {"10-a.yaml": "version: 1"}
    # A hook comes before all else, so that it may need nothing else of the chart.
    volumes = pod_of(workloads()["prepare"])["volumes"]
    assert [one["configMap"]["name"] for one in volumes if "configMap" in one] == ["weir-apply"]


def test_autoscaler_alone_sets_the_number_of_pods() -> None:
    assert workloads()["relay"]["spec"]["replicas"] == 2
    assert "replicas" not in workloads(EVERYTHING)["relay"]["spec"]
    spec = chart.find("HorizontalPodAutoscaler", "weir-relay", EVERYTHING)["spec"]
    assert spec["scaleTargetRef"]["name"] == "weir-relay"
    [metric] = spec["metrics"]
    # Of the one core that a process uses at most.
    assert metric["resource"]["target"] == {"type": "AverageValue", "averageValue": "650m"}
    grace = pod_of(workloads()["relay"])["terminationGracePeriodSeconds"]
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 600 < grace


def test_each_service_finds_its_pods() -> None:
    labels = [
        one["spec"]["template"]["metadata"]["labels"].items()
        for one in workloads().values()
        if "template" in one["spec"]
    ]
    services = [one for one in chart.render() if one["kind"] == "Service"]
    assert len(services) == 2
    for service in services:
        selector = service["spec"]["selector"].items()
        assert sum(selector <= each for each in labels) == 1, service


def test_the_model_api_goes_to_its_own_pods() -> None:
    [rule] = chart.find("Ingress", "weir", EVERYTHING)["spec"]["rules"]
    paths = {one["path"]: one["backend"]["service"]["name"] for one in rule["http"]["paths"]}
    assert rule["host"] == "hub.example.org"
    assert paths.pop("/") == "weir-web"
    assert set(paths.values()) == {"weir-relay"}
    assert all(is_claimed(f"{prefix}/x") for prefix in paths)
    for common in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"):
        assert common in ENDPOINTS
        assert common.startswith(tuple(paths))


def components(policy: dict[str, Any]) -> set[str]:
    [expression] = policy["spec"]["podSelector"]["matchExpressions"]
    assert (expression["key"], expression["operator"]) == ("app.kubernetes.io/component", "In")
    return set(expression["values"])


def test_pod_networks_match_compose() -> None:
    policies = {
        one["metadata"]["name"].removeprefix("weir-"): one
        for one in chart.render()
        if one["kind"] == "NetworkPolicy"
    }
    within = {name for name in ("beat", "prepare") if NETWORKS[name] == {"data"}}
    assert components(policies["data"]) == within | {"backup"}
    ports = [one["port"] for one in policies["data"]["spec"]["egress"][0]["ports"]]
    assert ports == [53, 53, 5432, 6379]
    assert components(policies["outside"]) == {"web", "relay", "worker"}
    [rule] = policies["outside"]["spec"]["egress"]
    assert rule["to"][0]["ipBlock"]["except"] == ["169.254.0.0/16"]
    # Nobody asks what serves nobody; only the edge and Prometheus ask what does.
    assert components(policies["jobs"]) == {"worker", "beat", "prepare", "backup"}
    assert "ingress" not in policies["jobs"]["spec"]
    assert components(policies["servers"]) == {"web", "relay"}
    [rule] = policies["servers"]["spec"]["ingress"]
    assert len(rule["from"]) == 2
    assert rule["ports"] == [{"port": "http"}]
    every = {one for policy in policies.values() for one in components(policy)}
    assert every == {*workloads(EVERYTHING)}
    assert not [
        one
        for one in chart.render((*REQUIRED, "networkPolicy.enabled=false"))
        if one["kind"] == "NetworkPolicy"
    ]


def test_instance_credentials_are_reached_where_a_value_names_them() -> None:
    values = (*REQUIRED, "networkPolicy.instanceCredentials={169.254.169.254/32,169.254.170.23/32}")
    chosen = chart.render(values)
    for document in chosen:
        if document["kind"] not in FOREIGN:
            kubernetes_validate.validate(document, NEWEST, strict=True)
    [rule] = chart.find("NetworkPolicy", "weir-outside", values)["spec"]["egress"]
    *everywhere, metadata, pods = [one["ipBlock"] for one in rule["to"]]
    assert (metadata, pods) == ({"cidr": "169.254.169.254/32"}, {"cidr": "169.254.170.23/32"})
    # Nothing else differs, so that no other pod reaches them.
    rule["to"] = [{"ipBlock": one} for one in everywhere]
    plain = {(one["kind"], one["metadata"]["name"]): one for one in chart.render()}
    policy = chart.find("NetworkPolicy", "weir-outside", values)
    policy["spec"]["egress"] = [rule]
    assert policy == plain["NetworkPolicy", "weir-outside"]
    assert [one for one in chosen if one["metadata"]["name"] != "weir-outside"] == [
        one for one in plain.values() if one["metadata"]["name"] != "weir-outside"
    ]


def test_the_page_names_the_metadata_that_keys_ask() -> None:
    page = (files.ROOT / "docs/operate/kubernetes.md").read_text()
    for address in (amazon.METADATA, google.METADATA):
        assert f"`{urlsplit(address).hostname}/32`" in page


def test_metrics_are_scraped_once_under_an_accepted_name() -> None:
    """Every process answers for the whole installation."""
    spec = chart.find("ScrapeConfig", "weir", EVERYTHING)["spec"]
    [[target]] = [one["targets"] for one in spec["staticConfigs"]]
    host = target.removesuffix(":80")
    assert host == "weir-web.hub.svc"
    assert host in chart.environment(workloads()["web"])["ALLOWED_HOSTS"].split(",")
    assert spec["authorization"]["credentials"] == {"name": "weir", "key": "METRICS_TOKEN"}
    # As the alert rules know it.
    assert spec["relabelings"] == [{"targetLabel": "job", "replacement": "weir"}]
    rules = chart.find("PrometheusRule", "weir", EVERYTHING)["spec"]
    assert rules == yaml.safe_load((files.ROOT / "deploy/prometheus/weir.rules.yml").read_text())


def test_a_backup_is_expected_where_one_is_made() -> None:
    job = chart.find("CronJob", "weir-backup", EVERYTHING)
    assert (job["spec"]["schedule"], job["spec"]["timeZone"]) == ("15 3 * * *", "Etc/UTC")
    [container] = pod_of(job)["containers"]
    [*_, script] = container["command"]
    assert re.search(r'&& python manage\.py backup "/backups/[^"]+\.zip" && find', script)
    assert "-mtime +14 -delete" in script
    for name, workload in workloads(EVERYTHING).items():
        environment = chart.environment(workload)
        assert environment["BACKUP_EVERY_HOURS"] == "24", name
        assert environment["BACKUP_KEEP_DAYS"] == "14"
    assert "BACKUP_EVERY_HOURS" not in chart.environment(workloads()["worker"])
    claim = chart.find("PersistentVolumeClaim", "weir-backups", EVERYTHING)
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_every_pod_has_the_custom_authorities() -> None:
    for name, workload in workloads(EVERYTHING).items():
        [container] = pod_of(workload)["containers"]
        file = chart.environment(workload)["SSL_CERT_FILE"]
        places = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        assert file == f"{places['trust']}/company.pem", name


def test_no_secret_is_in_the_chart() -> None:
    """They come from Secrets that the operator makes: keys of channels for prepare alone, and the
    logins of stores and proxies for what reaches them (docs/operate/kubernetes.md)."""
    assert [one for one in chart.render(EVERYTHING) if one["kind"] == "Secret"] == []
    assert "/deploy/trial/.env\n" in (files.ROOT / ".gitignore").read_text()
    wanted = {name: ["weir-logins"] for name in ("web", "relay", "worker")}
    wanted["prepare"] = ["weir-channels"]
    for name, workload in workloads(EVERYTHING).items():
        assert chart.secrets_read_whole(workload) == wanted.get(name, []), name
    for workload in workloads().values():
        assert chart.secrets_read_whole(workload) == []


def test_required_secret_values_are_enforced() -> None:
    """Kubernetes names it, and does not start the container."""
    [container] = pod_of(workloads()["web"])["containers"]
    references = [
        one["valueFrom"]["secretKeyRef"] for one in container["env"] if "value" not in one
    ]
    demanded = {one["key"] for one in references if not one.get("optional")}
    assert demanded == OF_ALL
