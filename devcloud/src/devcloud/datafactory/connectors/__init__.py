"""What Copy and Lookup read from besides the lake: databases, REST services, files over HTTP."""
