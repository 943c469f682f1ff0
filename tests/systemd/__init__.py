"""The shipped units under a systemd that was booted for the purpose."""
