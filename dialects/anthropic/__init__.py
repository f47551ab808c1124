"""The anthropic dialect: messages (whole and streamed), token counting, model lists, errors."""
