"""`clip2scene label`: what the teacher says of a drive, and how well its labels are made."""
