"""Which song goes next: of which inbox, past which pause, and what is made ready for it."""
