"""What answers an algorithm's requests."""
