"""The anthropic dialect: messages, whole and streamed, token counts, lists of models, errors."""
