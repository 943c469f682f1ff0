"""The parts of `status`: the inboxes, the pace, and each entry of its lists."""
