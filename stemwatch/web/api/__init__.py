"""What the page and scripts can ask for and do, over HTTP."""
