"""The pool: claims songs, runs their steps in lanes, and decides what each fault means."""
