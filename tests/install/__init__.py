"""What is installed, as somebody would who has just heard of it."""
