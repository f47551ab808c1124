"""No network but loopback, and the cast where a test asks for it."""

import gc
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.db import connection
from django.template import Template
from django.test import TransactionTestCase
from django.test.utils import _TestState
from django.utils import translation
from hypothesis import settings as hypothesis_settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from pytest_django.plugin import DjangoDbBlocker

from config.api import description
from lib.database import tenancy
from tests.runner import databases
from tests.support import cast
from tests.support.chromium import running_chromium
from tests.support.stage import scene, stage

# A busy machine is no defect (no deadline), and the same change is always tried by the same
# examples (derandomize). The slow lane tries more.
hypothesis_settings.register_profile("full", deadline=None, derandomize=True, max_examples=100)
hypothesis_settings.register_profile(
    "quick", hypothesis_settings.get_profile("full"), max_examples=15
)
hypothesis_settings.load_profile("quick")
# It would also draw what stands in the product's source, of the modules that are imported by then:
# other examples after other tests, and seconds to read all of it.
providers._get_local_constants = Constants

__all__ = ["running_chromium"]

# What pytest-django lays around each test, for marks and options that are not used here: it would
# be a third of what most tests take.
_UNUSED = {
    "_dj_autoclear_mailbox", "_django_clear_site_cache", "_django_isolate_apps",
    "_django_set_urlconf", "_django_setup_unittest", "_fail_for_invalid_template_variable",
    "_live_server_helper", "_template_string_if_invalid_marker",
}  # fmt: skip

# What lasts for the session, and for every test. Once it stands, no test need ask for it again,
# which would take a fifth of what the quickest take.
_LASTING = {
    "_no_network", "_templates_as_they_are", "django_db_blocker", "django_test_environment",
    "event_loop_policy",
}  # fmt: skip
_stands = False

_LOOPBACK = ("127.", "::1", "localhost")


class NetworkUsed(AssertionError):
    """A test tried to reach a machine other than this one."""


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_far(address[0])
        connect(self, address)

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None:
            _refuse_far(host.decode() if isinstance(host, bytes) else host)
        return look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        yield


def _refuse_far(host: str) -> None:
    if not host.startswith(_LOOPBACK):
        raise NetworkUsed(f"{host} is not this machine.")


@pytest.fixture
def bare_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Error pages without the navigation, which costs more than the rest of a refusal: for who is
    refused hundreds of times, and looks at the status alone."""
    from config.shell import views

    monkeypatch.setattr(views, "guards", SimpleNamespace(visitor=lambda request: None))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Django's test database is a copy of the run's migrated one."""
    connection.settings_dict["TEST"]["TEMPLATE"] = databases.template()


@pytest.fixture(autouse=True, scope="session")
def _templates_as_they_are(django_test_environment: None) -> None:
    """Nobody asks which templates drew a page, and with what: Django's tests would copy the context
    for each of the hundreds that a page includes."""
    Template._render = _TestState.saved_data.template_render  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def django_db_setup(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, pytestconfig: pytest.Config
) -> Iterator[None]:
    # What a migration put in would be there until the first test that commits.
    with django_db_blocker.unblock():
        databases.empty()
    stage.open(django_db_blocker)
    yield
    stage.clear()
    with django_db_blocker.unblock():
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
    databases.end_sessions(pytestconfig, connection.settings_dict["NAME"])


def pytest_itemcollected(item: pytest.Item) -> None:
    names: list[str] = getattr(item, "fixturenames", [])
    unused = _UNUSED
    if item.get_closest_marker("django_db") is None:
        unused = _UNUSED | {"_django_db_marker"}
    names[:] = [name for name in names if name not in unused]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if _stands:
        names: list[str] = getattr(item, "fixturenames", [])
        asked = item._fixtureinfo.argnames if isinstance(item, pytest.Function) else ()
        names[:] = [name for name in names if name not in _LASTING or name in asked]
    # A request in Chinese leaves its language active in the thread, for the next test too.
    translation.activate(settings.LANGUAGE_CODE)
    mail.outbox = []
    stage.set_for(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    global _stands
    _stands = True


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    # What a guard entered that was called without a request's middleware ends with the test.
    tenancy.enter(None)


@scene
def people() -> cast.Cast:
    return cast.assemble()


def _empty(_: TransactionTestCase) -> None:
    databases.empty()


def pytest_configure() -> None:
    # This process has loaded the API: it need not start another one to describe it.
    description.make = description.describe
    # Ten thousand tests and their modules live to the end: nothing of them is garbage, and looking
    # at them again and again takes longer than many of the tests.
    gc.disable()
    # Signing the cast in proves nothing about the strength of the hash.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    TransactionTestCase._fixture_teardown = _empty  # type: ignore[attr-defined]
    # What serves static files reads all of them for each client of a test, and takes each request
    # through other threads; processes that a test starts have it.
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if not one.startswith("servestatic")]
    # Pages are tested without collecting static files: those are served from their source.
    settings.STATIC_ROOT = settings.BASE_DIR / "static"
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


def pytest_collection_finish() -> None:
    gc.freeze()
    # One request makes so many objects that Python's 700 would be reached several times in it.
    gc.set_threshold(10_000, 20, 20)
    gc.enable()
