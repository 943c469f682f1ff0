"""Which other program reads what of the stems' tags: the table of docs/other-programs.md."""
