"""The student: a sparse 3D network that labels whole scans on its own."""
