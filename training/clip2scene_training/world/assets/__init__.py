"""Things that stand or move in a street, each built from a random generator: `build(rng) -> Mesh`."""
