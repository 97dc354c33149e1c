"""Floor 8: what runs: up, web, scheduler, worker, courier; composes the floors below."""
