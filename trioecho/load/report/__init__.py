"""Results of loads as text for people, and as JSON, CSV, HdrHistogram text and HTML for what reads on."""
