"""The converse dialect: Amazon's one form for the models of all owners on Bedrock."""
