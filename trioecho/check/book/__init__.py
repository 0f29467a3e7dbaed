"""The book: every rule, why it holds, who says so, and how much it counts."""
