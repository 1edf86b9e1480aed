"""Things that are photographed: a family of assets of its own, no maker of which is used in a street of the world."""
