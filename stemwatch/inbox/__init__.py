"""What is in the inbox, and is it complete: watcher (hints), scan (truth), settle (pure)."""
