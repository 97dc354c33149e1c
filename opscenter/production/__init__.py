"""Floor 2: what is in production: tasks and versions, instances, edges, trigger commands, the pure rules."""
