"""`clip2scene ablate`: what each part of the method is worth."""
