"""Floor 3: checks by external programs. Empty until extensions can be registered."""
