"""`python -m stemwatch.audio`: the helper process; started by `helper.client`, never by hand."""

from stemwatch.audio.helper.answering import main

main()
