"""The openai dialect: chat completions, whole and streamed, with its errors and its usage."""
