"""The commands of the command line, one module each: parse, call an operation, print."""
