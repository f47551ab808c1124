"""The one-command installation: what `make run` installs, starts, watches and stops."""
