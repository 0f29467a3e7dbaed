"""Results of a load: counts and histograms, judged, written as JSON, read and joined."""
