"""The responses dialect: /v1/responses and /v1/responses/compact, client's and upstream's side."""
