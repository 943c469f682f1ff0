"""Is somebody still writing a file: who has it open, and the names of what is not finished."""
