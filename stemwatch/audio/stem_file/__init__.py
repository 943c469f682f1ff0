"""Stem files: a song's mix and its four stems as the tracks of one MP4."""
