"""Floor 6: what people do to production: permit, check, apply, audit; one function each."""
