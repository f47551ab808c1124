"""Google's Interactions API: POST /v1beta/interactions.

The wire is that of google-genai 3.3 and of `Api-Revision: 2026-05-20` (ai.google.dev, "Interactions
API", "Streaming interactions", "API errors"; 2026-11): an interaction is a list of steps, streamed
as step.start, step.delta and step.stop. The earlier wire of google-genai 1.x (`outputs`, `turns`,
content.delta) is not understood.
"""
