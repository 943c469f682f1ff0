"""What a person, or the service, does with songs that have ended."""
