"""The statistics, as small functions on arrays of named shape. It does *not* choose rows, or word findings."""
