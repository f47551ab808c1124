"""Errors of the converse dialect: written for clients (`aws_answers`), read from upstreams
(`aws_errors`).
"""

from dialects.streams.aws_error_answers import REQUEST_ID as REQUEST_ID
from dialects.streams.aws_error_answers import error_frame as error_frame
from dialects.streams.aws_error_answers import headers as headers
from dialects.streams.aws_error_answers import render as render
from dialects.upstream_errors.aws_errors import read as read
from dialects.upstream_errors.aws_errors import read_exception as read_exception
from dialects.upstream_errors.aws_errors import read_object as read_object
