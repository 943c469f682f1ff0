"""The service's own HTTP listener: its health, its metrics, and the door for webhooks."""
