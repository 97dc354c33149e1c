"""Floor 5: time and work: generate, advance, claim, run; the node types' runners."""
