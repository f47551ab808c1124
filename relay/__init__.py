"""The data plane: raw ASGI, without Django's ORM or templates. It reads the control plane's data
from the snapshot.
"""
