"""The requests of the responses dialect: read and edited as they came, decoded, encoded."""

from gateway.codecs.responses.facts import ChatFacts as ChatFacts
from gateway.codecs.responses.facts import edit as edit
from gateway.codecs.responses.facts import read as read
from gateway.codecs.responses.request_decode import decode as decode
from gateway.codecs.responses.request_encode import encode as encode
from gateway.codecs.responses.request_encode import fetched_urls as fetched_urls
