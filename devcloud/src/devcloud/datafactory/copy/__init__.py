"""Copy between files of the lake: readers, typed conversion, and a sink that appears whole."""
