"""Reports: what was measured, as JSON for programs and as a page for people."""
