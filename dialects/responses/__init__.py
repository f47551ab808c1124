"""The responses dialect: /v1/responses and /v1/responses/compact, for clients and upstreams."""
