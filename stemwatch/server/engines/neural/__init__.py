"""The neural engines: graphs built here, weights that a user fetched, a runtime that runs both."""
