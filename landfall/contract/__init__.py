"""Data contracts in the Open Data Contract Standard, read from YAML into dataclasses."""
