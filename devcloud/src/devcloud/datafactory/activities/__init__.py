"""What each type of activity does: one function a type, gathered in `table.py`."""
