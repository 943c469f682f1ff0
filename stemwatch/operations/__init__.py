"""What the commands do, without their parsing and printing."""
