import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth import hashers
from django.db import connection, transaction
from django.test import Client

from accounts.models import SignUpMode, SignUpSetting, User
from accounts.secrets import password_hashing
from accounts.secrets.password_hashing import HashingBusy, PasswordHasher, Turns
from tests.support import cast
from tests.support.cast import Cast, signed_in

NEW = {"password1": "quite another one", "password2": "quite another one"}


@pytest.fixture
def hasher(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The product's own, with few rounds."""
    settings.PASSWORD_HASHERS = ["accounts.secrets.password_hashing.PasswordHasher"]
    monkeypatch.setattr(PasswordHasher, "iterations", 1)


def test_product_hashes_in_turn() -> None:
    """And reads what Django's own hasher has written."""
    from config import settings

    assert settings.PASSWORD_HASHERS == ["accounts.secrets.password_hashing.PasswordHasher"]
    kept = hashers.PBKDF2PasswordHasher().encode("secret", "salt", 1)
    assert PasswordHasher().verify("secret", kept)


def test_few_hash_in_parallel_and_few_wait() -> None:
    turns = Turns(2, 3, 10.0)
    inside, most, message = 0, 0, []
    lock, full, go_on = threading.Lock(), threading.Event(), threading.Event()

    def one(_: int) -> str:
        nonlocal inside, most
        try:
            with turns:
                with lock:
                    inside += 1
                    most = max(most, inside)
                go_on.wait(10)
                with lock:
                    inside -= 1
            return "done"
        except HashingBusy:
            with lock:
                message.append("busy")
                if len(message) == 7:
                    full.set()
            return "busy"

    with ThreadPoolExecutor(12) as pool:
        answers = pool.map(one, range(12))
        assert full.wait(10)
        go_on.set()
        assert sorted(answers) == ["busy"] * 7 + ["done"] * 5
    assert most == 2


def test_overlong_wait_is_reported() -> None:
    turns = Turns(1, 5, 0.0)
    with turns:
        for _ in range(20):
            with pytest.raises(HashingBusy), turns:
                pass
    with turns:
        pass


def test_timed_out_waiter_leaves_the_place_to_others() -> None:
    turns = Turns(1, 1, 0.0)
    with turns, pytest.raises(HashingBusy), turns:
        pass
    turns._wait_s = 10.0

    def wait() -> str:
        with turns:
            return "done"

    with ThreadPoolExecutor(1) as pool:
        with turns:
            waiting = pool.submit(wait)
            # Its seat is taken, or it was refused one.
            while turns._seats.acquire(blocking=False):
                turns._seats.release()
                if waiting.done():
                    break
        assert waiting.result(10) == "done"


def open_sign_up(settings: Any) -> None:
    """Let anybody make an account."""
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    SignUpSetting.objects.create(mode=SignUpMode.OPEN, captcha=False)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/login", {"login": "bob@example.org", "password": "wrong wrong"}),
        ("/login", {"login": "zoe@example.org", "password": "wrong wrong"}),
        ("/login", {"login": "bob@example.org", "password": cast.PASSWORD}),
        ("/signup", {"email": "eve@example.org", "password1": "a long enough one"}),
        ("/password/change", {"oldpassword": cast.PASSWORD, **NEW}),
        ("/password/change", {"oldpassword": "wrong wrong", **NEW}),
    ],
)
def test_no_connection_is_held_while_a_password_is_hashed(
    hasher: None,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    form: dict[str, str],
) -> None:
    bob = cast.person("bob")
    open_sign_up(settings)
    browser = signed_in(bob) if path == "/password/change" else Client()
    held = []
    encode = hashers.PBKDF2PasswordHasher.encode

    def watched(self: Any, *args: Any) -> Any:
        held.append(connection.connection is not None)
        return encode(self, *args)

    monkeypatch.setattr(hashers.PBKDF2PasswordHasher, "encode", watched)
    assert browser.post(path, form).status_code in (200, 302)
    assert held
    assert not any(held)


@pytest.mark.parametrize("email", ["bob@example.org", "zoe@example.org"])
def test_a_wrong_password_costs_one_hash_for_known_and_unknown(
    people: Cast, hasher: None, monkeypatch: pytest.MonkeyPatch, email: str
) -> None:
    """docs/promises.md, "Sign-in": the same time for both (ASVS 6.3.8)."""
    people.bob.set_password(cast.PASSWORD)
    people.bob.save()
    hashed = []
    encode = hashers.PBKDF2PasswordHasher.encode

    def counted(self: Any, *args: Any) -> str:
        hashed.append(1)
        return encode(self, *args)

    monkeypatch.setattr(hashers.PBKDF2PasswordHasher, "encode", counted)
    Client().post("/login", {"login": email, "password": "wrong wrong"})
    assert hashed == [1]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/login", {"login": "bob@example.org", "password": "wrong wrong"}),
        ("/signup", {"email": "eve@example.org", "password1": "a long enough one"}),
        ("/password/change", {"oldpassword": cast.PASSWORD, **NEW}),
    ],
)
@pytest.mark.parametrize(
    ("language", "words"), [("en", "The server is busy"), ("zh-hans", "服务器正忙")]
)
def test_crowd_of_hashes_is_asked_to_retry(
    people: Cast,
    hasher: None,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    form: dict[str, str],
    language: str,
    words: str,
) -> None:
    open_sign_up(settings)
    browser = signed_in(people.bob) if path == "/password/change" else Client()
    before = User.objects.count()
    monkeypatch.setattr(password_hashing, "turns", Turns(0, 0, 0.0))
    response = browser.post(path, form, headers={"accept-language": language})
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert words in response.content.decode()
    assert User.objects.count() == before


def test_within_a_transaction_the_connection_stays(people: Cast, hasher: None) -> None:
    with transaction.atomic():
        password_hashing.release_connection()
        assert User.objects.exists()
