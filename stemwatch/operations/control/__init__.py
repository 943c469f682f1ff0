"""Control of a running service: pause and resume."""
