"""Control of a running service: pause and resume, this song first."""
