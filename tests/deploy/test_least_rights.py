"""What a container gets, service by service, and how the image is put together: read off the files
(P24, and "Where the lines are" of docs/promises.md)."""

import re
from typing import Any

import pytest

from tests.deploy import files
from tests.deploy.test_files import GIVEN, PRODUCT, service

# Who talks to whom. Only the worker reaches outside beside web, which answers through `front`.
NETWORKS = {
    "caddy": {"edge"},
    "nginx": {"edge", "front"},
    "web": {"front", "data"},
    "worker": {"data", "out"},
    "beat": {"data"},
    "prepare": {"data"},
    "postgres": {"data"},
    "redis": {"data"},
}
# What may be written to that outlives its container; everything else is mounted to be read.
KEPT = {"caddy": {"caddy"}, "web": {"spool"}, "worker": {"backups"}, "postgres": {"postgres"}}
DOCUMENTED = re.compile(r"^\| ((?:`[A-Z0-9_]+`(?:, )?)+) \|", re.MULTILINE)
# Secrets that a process gets, beside those that all need to read the database.
SENDERS = {
    "EMAIL_PASSWORD",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "CLICKHOUSE_PASSWORD",
    "RECORD_SINK_SECRET",
}
SERVERS = {"METRICS_TOKEN", "OTEL_EXPORTER_OTLP_HEADERS"}
SECRETS: dict[str, set[str]] = {
    "web": SENDERS | SERVERS,
    "worker": SENDERS,
    "beat": set(),
    "prepare": set(),
}
# Read by compose itself, or given by it and by the image.
OF_COMPOSE = {
    *(
        "EDGE",
        "ACME_CA",
        "COMPOSE_FILE",
        "TLS_DIR",
        "TRUST_DIR",
        "HTTP_PORT",
        "HTTPS_PORT",
        "EDGE_IPV6",
        "WEB_REPLICAS",
        "FRONT_SUBNET",
    ),
    *("POSTGRES_PASSWORD", "REDIS_PASSWORD", "APPLY_DIR", "WEIR_IMAGE", "TRIAL_KEY"),
    *("DATABASE_URL", "BROKER_URL", "SPOOL_DIR", "STATIC_ROOT", "HEARTBEAT_FILE"),
}


def options(command: list[str]) -> dict[str, str]:
    """What stands behind `-c` of a Postgres command."""
    inputs = [command[at + 1] for at, word in enumerate(command) if word == "-c"]
    return dict(one.split("=", 1) for one in inputs)


def run_lines(stage: int) -> list[str]:
    return [one.text for one in files.dockerfile()[stage] if one.name == "RUN"]


def test_each_service_is_in_the_networks_it_needs() -> None:
    assert {name: set(service(name)["networks"]) for name in PRODUCT} == NETWORKS


@pytest.mark.parametrize("name", PRODUCT)
def test_mounts_are_read_only_or_named_here(name: str) -> None:
    for volume in service(name).get("volumes", []):
        source = volume.split(":")[0]
        assert source in KEPT.get(name, set()) or volume.endswith(":ro"), volume


@pytest.mark.parametrize("name", PRODUCT)
def test_service_log_cannot_fill_the_disk(name: str) -> None:
    logging: dict[str, Any] = service(name)["logging"]
    assert logging["driver"] == "json-file"
    assert set(logging["options"]) == {"max-size", "max-file"}


@pytest.mark.parametrize("name", PRODUCT)
def test_no_secret_stands_on_a_command_line(name: str) -> None:
    """Everybody on the host can read it there."""
    words = [*service(name).get("entrypoint", []), *service(name)["command"]]
    test = service(name).get("healthcheck", {}).get("test", [])
    for word in (*words, *test):
        for secret in set(GIVEN) - {"PUBLIC_URL"}:
            assert GIVEN[secret] not in word
    # A shell would put it there: only its own `echo`, which is no process, may have the password.
    lines = [line for word in words for line in word.split("&&") if "REDISCLI_AUTH" in line]
    assert all(line.strip().startswith("echo ") for line in lines)


def test_redis_evicts_and_persists_nothing() -> None:
    """P19: a doorbell that is thrown out unheard is late work; a full one says so at once."""
    [command] = service("redis")["command"]
    assert "--maxmemory-policy noeviction" in command
    assert '--save "" --appendonly no' in command
    assert "umask 077" in command


def test_idle_transaction_is_ended() -> None:
    """P18: it would hold the lock of a wallet for good."""
    limit = options(service("postgres")["command"])["idle_in_transaction_session_timeout"]
    assert 0 < files.seconds(limit) <= 60


def test_web_uses_our_protocol() -> None:
    """P9: the bounds of a head, a reader and a connection are its own
    (config/server/protocol.py)."""
    command = service("web")["command"]
    assert "--http=config.server.protocol:Protocol" in command
    assert "--lifespan=on" in command
    # A log of its own would have the keys that came in a query.
    assert "--no-access-log" in command
    assert command[:3] == ["python", "-m", "deploy.exit_zero"]


def test_default_edge_obtains_its_certificate_itself() -> None:
    """A first start ends in a page that a browser opens: without TLS its cookies are refused."""
    mounted = [volume for volume in service("nginx")["volumes"] if "edge.conf" in volume]
    assert mounted == ["./deploy/nginx/edges/acme.conf:/etc/weir/edge.conf:ro"]
    assert service("caddy")["environment"]["PUBLIC_URL"] == GIVEN["PUBLIC_URL"]


@pytest.mark.parametrize("name", ["web", "worker", "beat", "prepare"])
def test_settings_reach_every_process_and_secrets_only_some(
    name: str,
) -> None:
    text = (files.ROOT / "docs/operate/configure.md").read_text()
    documented = {word.strip("`") for row in DOCUMENTED.findall(text) for word in row.split(", ")}
    assert len(documented) > 15
    fields = {one: f"given-{one.lower()}" for one in documented}
    environment = files.services({**GIVEN, **fields})[name]["environment"]
    others = (SENDERS | SERVERS) - SECRETS[name]
    for setting in documented - OF_COMPOSE - others:
        assert environment[setting] == fields[setting]
    assert not environment.keys() & others


def test_channel_keys_are_for_prepare_only() -> None:
    """`env:NAME` of an applied file reads .env; no other process needs it."""
    assert [name for name in PRODUCT if "env_file" in service(name)] == ["prepare"]


def test_packages_are_the_reviewed_ones() -> None:
    """P24: by their hashes, and none runs a line of its own to be installed."""
    [install] = [line for line in run_lines(0) if line.startswith("pip ")]
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(install.split())
    assert not any("pip" in line.split() for line in run_lines(-1))


def test_a_process_cannot_change_its_own_code() -> None:
    final = files.dockerfile()[-1]
    copied = [one.text for one in final if one.name == "COPY"]
    assert copied == ["--from=build /venv /venv", "--from=build /app /app"]
    assert not any(re.search(r"chmod|chown", line) for line in run_lines(-1))
    # What is its user's are two folders, and nobody else's: settlements and backups are in them.
    [created] = run_lines(-1)
    assert {"--owner=10001", "--group=10001", "--mode=0700"} <= set(created.split())
    assert created.split()[-2:] == ["/var/spool/weir", "/var/lib/weir/backups"]
