"""Run the cases against one server: side by side, alone, and again after a death."""
