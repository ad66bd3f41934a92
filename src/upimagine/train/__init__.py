"""One loop trains everything; a task says what is trained."""
