"""Calls that carry a key: each is executed once, and a repeat gets what the first one got."""
