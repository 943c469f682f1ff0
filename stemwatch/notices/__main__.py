"""`python -m stemwatch.notices`: the helper process; started by `sender`, never by hand."""

from stemwatch.notices.apprised import main

main()
