"""The commands of a cluster: `worker` and `queue`."""
