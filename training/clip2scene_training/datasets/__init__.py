"""Sources of labelled frames: one file a source, each `len()` and `[i] -> Frame`."""
