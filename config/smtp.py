"""Emails go to a mail server whose certificate is judged as every other one is."""

import ssl
from functools import cached_property

from django.core.mail.backends import smtp

from lib.trust import trusted_context


class EmailBackend(smtp.EmailBackend):
    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        return trusted_context()
