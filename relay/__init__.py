"""The data plane: raw ASGI, no ORM, no templates. It meets the control plane in the snapshot."""
