"""The commands of em, one file per subject."""
