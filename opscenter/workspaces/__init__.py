"""Floor 1: who may do what: users, tenants, workspaces, members, roles, access keys, audit trail."""
