"""Pictures on their way into training."""
