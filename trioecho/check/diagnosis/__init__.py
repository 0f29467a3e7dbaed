"""From verdicts and bytes to likely causes."""
