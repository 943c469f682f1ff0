"""The queue as those who watch see it: state with versions, and the streams that carry it."""
