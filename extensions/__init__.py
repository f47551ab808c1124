"""Extensions that come with Weir, on by default (docs/guides/writing-an-extension.md)."""
