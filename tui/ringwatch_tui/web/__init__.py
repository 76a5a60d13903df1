"""The console in a browser: read-only, behind a token, on loopback."""
