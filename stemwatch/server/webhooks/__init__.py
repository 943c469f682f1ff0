"""Webhooks that the separation server sends: who registered, and the calls with their retries."""
