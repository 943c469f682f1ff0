"""Separation beyond one machine: records in PostgreSQL, and procrastinate's queue there."""
