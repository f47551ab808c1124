"""Legacy text completions, whole and streamed: a prompt in, its continuation out. A model with the
endpoint gets the client's own bytes; a model that only chats gets each prompt as one user message.
"""
