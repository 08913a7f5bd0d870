"""Webhook bodies in the shapes the platforms send, filled from the story's facts."""
