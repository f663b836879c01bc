"""A local Functions host: serves a Python v2 app folder as `func start` would. See README.md."""
