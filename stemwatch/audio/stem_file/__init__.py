"""Stem files in Native Instruments' layout: all stems of a song in one `.stem.m4a`."""
