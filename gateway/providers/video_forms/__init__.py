"""How videos are requested from providers: one file for each form. How to add one:
docs/guides/adding-a-provider.md."""
