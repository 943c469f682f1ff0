"""Commands that control a running service, or single songs of it."""
