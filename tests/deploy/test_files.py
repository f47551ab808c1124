"""What can be read off the production files without running them."""

import re
import subprocess
from typing import Any

import pytest

from relay.config import RelayConfig
from tests.deploy import files

SECRET_NAMES = re.compile(r"PASSWORD|SECRET|KEK|PEPPER|_KEY$|TOKEN")
PINNED = re.compile(
    r"^[a-z/]+:\d+\.\d+\.\d+-((slim-)?(bookworm|trixie)|alpine)$|^postgres:\d+\.\d+-bookworm$"
)
# Parts of the repository that are no part of the product.
NOT_SHIPPED = {"tests", "stack", "tools"}
PRODUCT = list(files.compose_file()["services"])
GIVEN = {
    name: f"given-{name.lower()}"
    for name in (
        *("PUBLIC_URL", "SECRET_KEY", "WEIR_KEK", "WEIR_KEY_PEPPER"),
        *("POSTGRES_PASSWORD", "REDIS_PASSWORD"),
    )
}
SETTINGS = r"docs/operate/configure\.md"
OURS = ("web", "worker", "beat", "prepare")


def service(name: str) -> dict[str, Any]:
    return files.services(GIVEN)[name]


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_a_missing_setting_stops_the_start(name: str) -> None:
    with pytest.raises(files.Missing, match=f"^{name} is not set, see {SETTINGS}$"):
        files.services({**GIVEN, name: ""})


def test_no_secret_has_a_default() -> None:
    text = (files.ROOT / "docker-compose.yml").read_text()
    for _, name, kind, rest in files.VARIABLE.findall(text):
        if SECRET_NAMES.search(name):
            assert kind == "?" or rest == "", name
    # Nor is one written down: whatever is secret by its name is a variable.
    for name, settings in files.compose_file()["services"].items():
        for key, value in settings.get("environment", {}).items():
            if SECRET_NAMES.search(key):
                assert files.VARIABLE.fullmatch(value), f"{name}: {key}"


def test_only_the_edge_is_published() -> None:
    """Caddy, or nginx where it is the only edge."""
    assert {name for name, one in files.services(GIVEN).items() if "ports" in one} == {"caddy"}
    alone = files.services(GIVEN, files.NGINX_ALONE)
    started = {name for name, one in alone.items() if "profiles" not in one}
    assert started == set(PRODUCT) - {"caddy"}
    assert {name for name in started if "ports" in alone[name]} == {"nginx"}
    for one_result in files.services(GIVEN).values():
        assert one_result.get("network_mode") is None
        assert "privileged" not in one_result


@pytest.mark.parametrize("name", ["provider", "visitors"])
def test_trial_additions_have_no_more_rights(name: str) -> None:
    """And is seen by nobody outside, nor sees it."""
    fields = {**GIVEN, "TRIAL_KEY": "given"}
    result = files.services(fields, files.TRIAL)[name]
    assert (result["read_only"], result["cap_drop"]) == (True, ["ALL"])
    assert result["security_opt"] == ["no-new-privileges:true"]
    assert result["networks"] == ["trial"]
    assert "ports" not in result
    network = files.compose_file(files.TRIAL)["networks"]["trial"]
    assert network["internal"] is True
    seeds = (files.ROOT / "deploy/trial/apply/10-trial.yaml").read_text()
    assert network["ipam"]["config"][0]["subnet"] in seeds
    with pytest.raises(files.Missing, match=f"^TRIAL_KEY is not set, see {SETTINGS}$"):
        files.services(GIVEN, files.TRIAL)


def test_trial_leaves_the_rest_unchanged() -> None:
    fields = {**GIVEN, "TRIAL_KEY": "given"}
    plain, trial = files.services(fields), files.services(fields, files.TRIAL)
    assert set(trial) - set(plain) == {"provider", "visitors"}
    for name in ("web", "worker"):
        assert trial[name] == {**plain[name], "networks": [*plain[name]["networks"], "trial"]}


@pytest.mark.parametrize("name", PRODUCT)
def test_service_has_minimal_rights(name: str) -> None:
    result = service(name)
    assert result["read_only"] is True
    assert result["cap_drop"] == ["ALL"]
    assert result["security_opt"] == ["no-new-privileges:true"]
    user, group = map(int, result["user"].split(":"))
    # Caddy's folder is root's in its image; without capabilities root may do no more than others.
    assert (user, group) == (0, 0) if name == "caddy" else min(user, group) > 0
    assert result.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "caddy" else [])
    assert not any("docker.sock" in volume for volume in result.get("volumes", []))


def test_the_database_and_the_queue_reach_nobody_outside() -> None:
    networks = files.compose_file()["networks"]
    assert networks["data"] == {"internal": True}
    assert service("postgres")["networks"] == ["data"]
    assert service("redis")["networks"] == ["data"]
    assert "data" not in service("nginx")["networks"]


def test_forwarded_headers_are_trusted_only_from_nginx() -> None:
    [trusted] = [
        word.removeprefix("--forwarded-allow-ips=")
        for word in service("web")["command"]
        if word.startswith("--forwarded-allow-ips=")
    ]
    [front] = files.interpolate(files.compose_file()["networks"]["front"]["ipam"]["config"], GIVEN)
    assert trusted == front["subnet"]
    members = {name for name in PRODUCT if "front" in service(name).get("networks", [])}
    assert members == {"nginx", "web"}
    # nginx itself believes Caddy, which nothing else can be in front of it.
    assert {name for name in PRODUCT if "edge" in service(name)["networks"]} == {"caddy", "nginx"}


def test_every_process_waits_for_prepare() -> None:
    for name in ("web", "worker", "beat"):
        waits = service(name)["depends_on"]["prepare"]
        assert waits == {"condition": "service_completed_successfully"}
    assert service("prepare")["restart"] == "no"
    assert service("prepare")["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_no_stop_is_cut_short() -> None:
    """docs/promises.md, "Drain": who kills must wait longer than who drains."""
    relay = RelayConfig(dsn="", kek="", pepper="")
    [uvicorn] = [
        int(word.removeprefix("--timeout-graceful-shutdown="))
        for word in service("web")["command"]
        if word.startswith("--timeout-graceful-shutdown=")
    ]
    web = files.seconds(service("web")["stop_grace_period"])
    assert relay.drain_s + relay.accept_while_draining_s < uvicorn < web
    nginx = (files.ROOT / "deploy/nginx/nginx.conf").read_text()
    [edge] = re.findall(r"worker_shutdown_timeout (\w+);", nginx)
    assert uvicorn < files.seconds(edge) < files.seconds(service("nginx")["stop_grace_period"])
    assert files.seconds(edge) < files.seconds(service("caddy")["stop_grace_period"])

    from config.celery import app

    assert app.conf.task_time_limit < files.seconds(service("worker")["stop_grace_period"])


def test_server_side_keeps_connections_longer() -> None:
    [uvicorn] = [
        int(word.removeprefix("--timeout-keep-alive="))
        for word in service("web")["command"]
        if word.startswith("--timeout-keep-alive=")
    ]
    nginx = (files.ROOT / "deploy/nginx/nginx.conf").read_text()
    caddy = (files.ROOT / "deploy/caddy/Caddyfile").read_text()
    [by_caddy] = re.findall(r"keepalive (\w+)\n", caddy)
    [by_nginx] = re.findall(r"^    keepalive_timeout (\w+);", nginx, re.MULTILINE)
    assert files.seconds(by_caddy) < files.seconds(by_nginx)
    upstream = nginx[nginx.index("upstream web") :]
    [kept] = re.findall(r"keepalive_timeout (\w+);", upstream)
    assert files.seconds(kept) < uvicorn
    # And than by a process that stops; who was away is asked again before the next one stops.
    accepting_s = RelayConfig(dsn="", kek="", pepper="").accept_while_draining_s
    [failed] = re.findall(r"fail_timeout=(\w+);", upstream)
    assert files.seconds(kept) < accepting_s
    assert files.seconds(failed) < accepting_s


def test_one_beat_and_any_number_of_web_processes() -> None:
    assert "deploy" not in service("beat")
    assert service("web")["deploy"] == {"replicas": "2"}
    # What web processes keep is for whichever of them comes next.
    assert "spool:/var/spool/weir" in service("web")["volumes"]
    assert service("web")["environment"]["SPOOL_DIR"] == "/var/spool/weir"


@pytest.mark.parametrize("name", OURS)
def test_every_process_finds_the_custom_authorities(name: str) -> None:
    assert "./deploy/trust:/etc/weir/trust:ro" in service(name)["volumes"]


def test_images_are_pinned() -> None:
    for name in PRODUCT:
        if name not in OURS:
            assert PINNED.match(service(name)["image"]), name
    for stage in files.dockerfile():
        assert PINNED.match(stage[0].text.split(" AS ")[0]), stage[0]


def test_the_image_runs_as_nobody_and_holds_no_secret() -> None:
    final = files.dockerfile()[-1]
    users = [one_result.text for one_result in final if one_result.name == "USER"]
    assert users == [service("web")["user"]]
    assert final[-1].name == "USER"
    for stage in files.dockerfile():
        for one_result in stage:
            assert one_result.name not in ("ADD", "ARG")
            if one_result.name == "ENV":
                assert not SECRET_NAMES.search(one_result.text)
            if one_result.name == "RUN":
                assert not re.search(r"curl|wget|https?:|\|\s*sh", one_result.text)


def test_the_image_holds_the_whole_product_and_nothing_else() -> None:
    copied = {
        word.split("/")[0]
        for stage in files.dockerfile()
        for one_result in stage
        if one_result.name == "COPY" and "--from=" not in one_result.text
        for word in one_result.words[:-1]
    }
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=files.ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    tracked = {name.split("/")[0] for name in listed.split("\0") if "/" in name}
    product = {name for name in tracked - NOT_SHIPPED if not name.startswith(".")}
    assert copied == product | {"manage.py", "pyproject.toml", "requirements-prod.lock"}
    # The builder is sent exactly that.
    lines = (files.ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    assert {line[1:].split("/")[0] for line in lines if line.startswith("!")} == copied
