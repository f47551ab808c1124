"""Formats of dates and times where a language's differ from Django's."""
