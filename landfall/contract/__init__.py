"""What a data contract says, read from the Open Data Contract Standard: text in, values out."""
