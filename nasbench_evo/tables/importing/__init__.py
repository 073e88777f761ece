"""Every foreign format, read without executing it."""
