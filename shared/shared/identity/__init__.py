"""Who somebody is, without I/O: our own tokens and their keys, and what other issuers' tokens must prove.

PyJWT is imported by the first token: with its cryptography it would be an eighth of ingest's memory.
"""
