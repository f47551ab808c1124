"""Mutation testing of the code that decides about money and authority; see `make mutants`."""
