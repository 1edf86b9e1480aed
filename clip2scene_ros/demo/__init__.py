"""`clip2scene demo`: the whole path on a short synthetic drive."""
