"""The API reference as data: the input and output of each operation, described for people."""
