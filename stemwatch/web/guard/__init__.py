"""Who may use the page and the API: names, origins, the password, and who is logged in."""
