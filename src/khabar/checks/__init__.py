"""What is looked for in a corpus; `khabar.check` puts it together."""
