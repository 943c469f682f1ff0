"""Commands that control a running service."""
