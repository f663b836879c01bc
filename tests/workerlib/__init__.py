"""Drives Microsoft's own Python worker library, the reference for what our local host does."""
