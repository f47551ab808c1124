"""The requests of the responses dialect: read and edited as they came, decoded, encoded."""

from dialects.responses.facts import ChatFacts as ChatFacts
from dialects.responses.facts import edit as edit
from dialects.responses.facts import read as read
from dialects.responses.request_decode import decode as decode
from dialects.responses.request_encode import encode as encode
from dialects.responses.request_encode import fetched_urls as fetched_urls
