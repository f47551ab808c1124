import base64
import subprocess
import sys

from deploy.make_secrets import settings
from tests.deploy import files
from tests.deploy.test_files import GIVEN

URL = "https://hub.example.org"


def script(*arguments: str) -> "subprocess.CompletedProcess[str]":
    # -I -S: nothing but Python is there, as on a host that only has Docker.
    command = [sys.executable, "-I", "-S", str(files.ROOT / "deploy/make_secrets.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_output_contains_everything_compose_needs() -> None:
    inputs = dict(line.split("=", 1) for line in script(URL).stdout.splitlines())
    assert inputs.keys() == GIVEN.keys()
    assert inputs["PUBLIC_URL"] == URL
    web = files.services(inputs)["web"]["environment"]
    assert (
        web["DATABASE_URL"] == f"postgresql://weir:{inputs['POSTGRES_PASSWORD']}@postgres:5432/weir"
    )
    assert web["BROKER_URL"] == f"redis://:{inputs['REDIS_PASSWORD']}@redis:6379/0"


def test_only_nginx_serves_an_address_without_tls() -> None:
    inputs = settings("http://localhost:8080")
    assert inputs["EDGE"] == "plain"
    assert inputs["COMPOSE_FILE"] == f"docker-compose.yml:{files.NGINX_ALONE}"


def test_every_secret_is_newly_generated() -> None:
    one, other = settings(URL), settings(URL)
    secrets = [item[name] for item in (one, other) for name in one if name != "PUBLIC_URL"]
    assert len(set(secrets)) == len(secrets)
    assert all(len(secret) >= 43 for secret in secrets)
    assert len(base64.b64decode(one["WEIR_KEK"], validate=True)) == 32


def test_public_address_is_required() -> None:
    for arguments in ([], ["hub.example.org"], [URL, URL]):
        done = script(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "https://hub.example.org" in done.stderr
