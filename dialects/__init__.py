"""Reads and writes the wire formats of chat APIs, and translates between all of them. It knows
nothing about providers, prices and sockets.

    translation     what most callers need: requests, answers, streams and errors between two
                    dialects
    codecs          the table: a codec for each dialect; codec: what a codec does
    chat            the neutral form of requests, answers and events, between all dialects
    json, streams   bytes that are read and edited without parsing all of them; realtime sessions
    errors, usage   errors for clients, errors of upstreams, the usage of an answer
    media           images, sound and videos
    endpoints       paths that take one body and answer with one text, besides chats
"""
