"""Notices of what happened: messages to people through Apprise, and a command for each event."""
