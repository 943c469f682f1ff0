"""The running service: its start and end, its inboxes, its status file and its watchdog."""
