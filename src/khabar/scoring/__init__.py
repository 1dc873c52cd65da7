"""What a report says beside the strict scores of `khabar.metrics`; `khabar.report` puts it together."""
