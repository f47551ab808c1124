"""Legacy text completions, whole and streamed: a prompt in, its continuation out.

A model that has the endpoint gets the client's own bytes; a model that only chats is served through
the waist, each prompt as one user message.
"""
