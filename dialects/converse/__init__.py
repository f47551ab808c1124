"""The converse dialect: one form for the models of all owners on Amazon Bedrock; upstreams only."""
