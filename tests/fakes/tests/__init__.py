"""The fakes are judges, so they are tried themselves."""
