import pytest

from accounts.sessions.devices import PRODUCT_MAX, Device, device_of, product_of

_MOZILLA = "Mozilla/5.0"


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (
            f"{_MOZILLA} (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/140.0.0.0 Safari/537.36",
            Device("Chrome", "Windows"),
        ),
        (
            f"{_MOZILLA} (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            Device("Edge", "Windows"),
        ),
        (
            f"{_MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like "
            "Gecko) Version/18.4 Safari/605.1.15",
            Device("Safari", "macOS"),
        ),
        (
            f"{_MOZILLA} (iPhone; CPU iPhone OS 18_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
            "like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1",
            Device("Chrome", "iPhone"),
        ),
        (
            f"{_MOZILLA} (Linux; Android 15; K) AppleWebKit/537.36 (KHTML, like Gecko) "
            "SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
            Device("Samsung Internet", "Android"),
        ),
        (
            f"{_MOZILLA} (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0",
            Device("Firefox", "Linux"),
        ),
        ("curl/8.7.1", Device("curl", "")),
        ("", Device("", "")),
        ("<script>", Device("", "")),
    ],
)
def test_device_has_a_human_readable_name(agent: str, device: Device) -> None:
    assert device_of(agent) == device


@pytest.mark.parametrize(
    ("agent", "product"),
    [
        ("OpenAI/Python 2.1.0", "OpenAI/Python 2.1.0"),
        ("AsyncAnthropic/Python 0.70.0", "AsyncAnthropic/Python 0.70.0"),
        ("google-genai-sdk/1.2.0 gl-python/3.11.4", "google-genai-sdk/1.2.0"),
        ("curl/8.7.1", "curl/8.7.1"),
        ("node", "node"),
        ("my-bot (+https://example.org)", "my-bot"),
        (
            f"{_MOZILLA} (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/140.0.0.0 Safari/537.36",
            "Chrome",
        ),
        ("x" * 500, "x" * PRODUCT_MAX),
        ("", ""),
        ("(none)", ""),
    ],
)
def test_a_user_agent_is_shortened_to_its_product(agent: str, product: str) -> None:
    assert product_of(agent) == product
