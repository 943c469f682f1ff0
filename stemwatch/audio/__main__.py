"""`python -m stemwatch.audio`: the helper process; started by `client`, never by hand."""

from stemwatch.audio.worker import main

main()
