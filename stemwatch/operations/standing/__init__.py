"""What `status` looks at: the inboxes, the pace, and each entry of its lists."""
