"""The page of the playground."""

from django.urls import path

from playground.media.views import media_page

URLS = [
    path("o/<slug:o>/playground/music", media_page, {"kind": "music"}, name="music"),
]
