"""What several commands share: options, output, signals, exit codes."""
