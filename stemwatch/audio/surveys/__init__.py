"""Ways to look a whole file over: by its packets, or quicker by what its container says of them."""
