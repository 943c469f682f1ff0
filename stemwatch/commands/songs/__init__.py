"""Commands on single songs that have ended, beside a running service or without one."""
