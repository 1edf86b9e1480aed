"""Collecting: of a drive, what is worth keeping is labelled and goes into shards."""
