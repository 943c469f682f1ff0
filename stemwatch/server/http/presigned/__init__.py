"""Wire B, the API of StemSplit's OpenAPI document: its calls, answers and webhooks."""
