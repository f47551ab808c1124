"""The gemini dialect: generateContent, whole and streamed, with its errors and its usage.

request, response, stream, errors and usage are what every dialect has. Only here are model_name
(model, action and suffixes stand in the path), count_tokens, embed and models_list.
"""
