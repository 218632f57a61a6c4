"""Streams: events with positions that are kept, and can be read back."""
