"""The gemini dialect: generateContent, whole and streamed, with its errors and its usage.

Beside the files that every dialect has stand model_name (model, action and suffixes are in the
path), count_tokens, embed and models_list.
"""
