"""`landfall demo`: takes drops through a local cloud that runs only for the demo."""
