"""Floor 0: database clock, locks, NOTIFY, due-work registry, outbound HTTP client, secrets, blobs, ids."""
