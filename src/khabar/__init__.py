"""khabar: entities, events and their arguments in Arabic news."""

__version__ = "0.1.0"
