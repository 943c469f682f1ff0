"""What the service tidies up now and then: the quarantine's list, and old originals."""
