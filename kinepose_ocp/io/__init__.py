"""File formats: one file each; the tables of readers and writers."""
