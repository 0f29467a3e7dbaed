"""What is behind ``trioecho send``: messages as people write them, and a conversation of frames."""
