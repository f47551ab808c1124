"""Reads and writes the wire formats of chat APIs, and translates between all of them. It knows
nothing about providers, prices and sockets.

translation     what most callers need: requests, answers, streams and errors between two dialects
codecs          the table: a codec for each dialect; codec: what a codec does
chat            the waist: requests, answers and events in neutral words
json, streams   bytes that are read and edited without parsing all of them; realtime sessions
errors, usage   what a client is told, what an upstream said, what an answer used
media           images, sound and videos
endpoints       paths that take one body and answer with one text, beside the chats
"""
