"""What is extracted from databases and APIs: source files, ranges, queries, triggers. Pure."""
