"""The running service: its start and end, its inboxes, and what others are told of it."""
