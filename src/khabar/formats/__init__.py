"""Outside formats: one module each, with a ``read`` and, where it makes sense, a ``write``."""
