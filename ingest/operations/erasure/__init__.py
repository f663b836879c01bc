"""Erasure of one subject from all that the service keeps: `landfall forget`."""
