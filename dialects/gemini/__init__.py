"""The gemini dialect: generateContent, whole and streamed, with its errors and its usage.

Besides the files that every dialect has there are model_name (model, action and suffixes are in the
path), count_tokens, embed and models_list.
"""
