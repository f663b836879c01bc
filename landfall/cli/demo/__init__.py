"""`landfall demo`: process drops in a local cloud that runs only for the demo."""
