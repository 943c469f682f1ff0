"""Bytes to and from the API: sockets, guarded addresses, uploads and downloads."""
