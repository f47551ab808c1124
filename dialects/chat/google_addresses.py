"""The addresses that Google's models read themselves."""

from urllib.parse import urlsplit

from dialects.chat.chat import ChatRequest, Url
from dialects.chat.turns import urls

# Hosts whose data Google itself stores or fetches.
_OWN_HOSTS = frozenset({"generativelanguage.googleapis.com", "youtu.be"})
_OWN_DOMAIN = "youtube.com"
_OWN_DIALECTS = frozenset({"gemini", "interactions"})


def reads_address(request: ChatRequest, source: Url) -> bool:
    """Return whether the provider can fetch a URL itself. URLs of clients of Google's dialects are
    assumed to be fetchable.
    """
    if request.dialect in _OWN_DIALECTS or source.url.startswith("gs://"):
        return True
    try:
        host = urlsplit(source.url).hostname or ""
    except ValueError:
        return False
    return host in _OWN_HOSTS or host == _OWN_DOMAIN or host.endswith("." + _OWN_DOMAIN)


def urls_to_fetch(request: ChatRequest) -> tuple[str, ...]:
    """Return the URLs that Google does not fetch itself: all except gs://, its files and
    YouTube.
    """
    return urls(
        request,
        lambda part: isinstance(part.source, Url) and not reads_address(request, part.source),
    )
