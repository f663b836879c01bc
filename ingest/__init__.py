"""Landfall: takes the files dropped into a data lake, and says at any moment where each one is."""
