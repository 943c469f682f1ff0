"""The container's files, carried out without a container engine."""
