"""Certificates and keys of TLS: read from files, looked at again when they change, said in words.

May import: `runtime`.
"""
