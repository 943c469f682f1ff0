"""The page in a real Chromium: what a person sees, hears and does."""
