"""Identity: who a session is."""
