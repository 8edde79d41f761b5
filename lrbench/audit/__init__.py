"""Is this training reproducible, what breaks it, what do the flags cost? `command` asks, `analysis.audit` answers."""
