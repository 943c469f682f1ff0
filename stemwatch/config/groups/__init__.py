"""Groups of keys with rules of their own, a module each."""
