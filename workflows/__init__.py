"""Floor 4: authoring: workflows, nodes, drafts, versions, FlowSpec."""
