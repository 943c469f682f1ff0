"""Telling people and programs what happened: messages through Apprise, a command for an event."""
