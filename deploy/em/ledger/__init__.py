"""What the operator looks up and puts right: dead letters, gaps, and what is sent once more."""
