"""Which rows belong together, which must not be pooled, and the tables that comparisons are made of."""
