"""One module per platform: `translate`, a pure function from a delivery to its disposition."""
