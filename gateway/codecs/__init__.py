"""Pure readers and writers of wire dialects. A codec knows no provider, no price and no socket."""
