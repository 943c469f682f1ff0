"""What `stemwatch check` looks at, one subject a module."""
