"""The HTTP interface of the separation server: both wires, uploads, signed links and limits."""
