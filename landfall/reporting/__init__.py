"""A validation report as a page for the producer of the file; the app may import it."""
