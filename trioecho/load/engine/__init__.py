"""One process of a load: its connections, its schedule, and what it records."""
