"""What `stemwatch check` examines, one subject per module."""
