"""`clip2scene calibrate`: whether cameras sit where their calibration says, once and all the time."""
