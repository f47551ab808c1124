"""Pure readers and writers of wire dialects. A codec knows no provider, no price and no socket.

codecs      the table: a codec for each dialect; codec: what is asked of each
chat        the waist: requests and answers in neutral words, and what each dialect package has
events      the same for streams
usage       counts
fold        an answer from its events, and back; whole_answer: one as it was read
turns       system text, turns, tool calls, addresses, seals, made ids
reasoning   efforts and budgets
client_names
            what clients call a field, to name to them what was dropped; what is dropped, the
            request_encode of each dialect says
members     typed reading of a client's JSON, with the contract's refusals; shared_members: what
            several dialects have alike
searches    how many web searches a request may cost
media       data URLs, base64, audio formats, size limits
body, sse   bytes that are read without being changed
errors      what a client is told; upstream_errors: what an upstream said

Beside the dialects stand the endpoints that take one body and answer with one text:

completions, edits                  text in, text out; by a chat model where there is no other
embeddings, rerank, moderations     vectors, orders and verdicts
models_list                         the models that a key may use, in three shapes
unary                               what these share
"""
