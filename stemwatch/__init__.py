"""stemwatch: drop a song into a folder; get its stems, its tempo and its key."""

__version__ = "0.1.0"
