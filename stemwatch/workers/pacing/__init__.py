"""When a step may begin: pauses, slots, request rate, polls, budget, credit and waiting times."""
