"""Doors: bytes, files and bags become frames, and labels become clouds."""
