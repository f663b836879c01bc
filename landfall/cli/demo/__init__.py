"""`landfall demo`: the whole way of a drop, on a local cloud that lives as long as the demo."""
