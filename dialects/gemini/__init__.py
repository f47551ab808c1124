"""The gemini dialect: generateContent, whole and streamed, with its errors and its usage. It has
three more files than other dialects: model_name (model, action and suffixes are in the path),
count_tokens and embed.
"""
