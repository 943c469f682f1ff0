"""The operations behind the commands: their work, without parsing and printing."""
