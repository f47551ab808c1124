"""The API reference as data: what each operation takes and answers, in words for people."""
