"""The page of the playground."""

from django.urls import path

from playground.media.views import media_page

URLS = [
    path("o/<slug:o>/playground/midjourney", media_page, {"kind": "midjourney"}, name="midjourney"),
]
