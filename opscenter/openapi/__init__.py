"""Floor 7: the DataWorks wire protocol."""
