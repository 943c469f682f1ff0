"""Disks: durable writes, safe opening, mounts that go away or hang, and free space."""
